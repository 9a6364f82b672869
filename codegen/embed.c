/* embed.c - build tool: a text file as a C string constant.
 *
 *   dfm_embed SYMBOL INPUT OUTPUT     ->   const char SYMBOL[] = "..." ;
 */
#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: dfm_embed SYMBOL INPUT OUTPUT\n");
        return 2;
    }
    FILE *in = fopen(argv[2], "rb"), *out = fopen(argv[3], "wb");
    if (!in || !out) {
        perror(in ? argv[3] : argv[2]);
        return 1;
    }
    fprintf(out, "#include \"codegen/cpu/cpu.h\"\nconst char %s[] = {", argv[1]);
    int c, n = 0;
    while ((c = fgetc(in)) != EOF) fprintf(out, "%s%d,", n++ % 24 ? "" : "\n", c);
    fprintf(out, "\n0};\n");
    fclose(in);
    return fclose(out) == 0 ? 0 : 1;
}
