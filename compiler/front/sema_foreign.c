/* sema_foreign.c - functions and fields that people bring from other frameworks, and what says the
 * same here. Only for help in reports: nothing is accepted that was not before. */
#include <string.h>

#include "compiler/front/sema.h"

static const struct { const char *words, *help; } table[] = {
    {" transpose permute swapaxes movedim T ",
     "dims have names, and operands are aligned by them: their order never matters"},
    {" reshape view flatten unflatten rearrange ",
     "`split(x, D -> (H, Dh))` takes a dim apart, `merge(x, (H, Dh) -> D)` puts dims together"},
    {" einsum matmul bmm mm dot tensordot ",
     "`contract(a, b, D)` sums products over D; `linear` does so with a weight"},
    {" cat concatenate hstack vstack ", "`concat(a, b, (D1, D2) -> D)` joins along a dim"},
    {" chunk unbind ", "`unstack(x, M)` takes a dim apart, `slice(x, D -> E, 0..n)` cuts it"},
    {" narrow index_select take take_along_dim ",
     "`slice(x, D -> E, lo..hi)` cuts a dim, `gather(x, index, D)` looks rows up"},
    {" expand expand_as unsqueeze squeeze broadcast_to repeat_interleave tile ",
     "a dim that an operand lacks is broadcast; `x[b, i // 2]` in an `op` repeats elements"},
    {" dropout Dropout ",
     "there are no modes: draw `uniform([B])` in the train section and give the model the mask"},
    {" randn randn_like rand rand_like ", "`normal([B, D])` and `uniform([B])` draw numbers"},
    {" cumsum roll flip pad triu tril ",
     "an `op` says it by indices, for example `y[i] = sum[j](select(j <= i, x[j], 0))`"},
    {" detach no_grad ", "`stop_grad(x)` is the value without a gradient"},
    {" to astype float half int long ", "`f32(x)`, `bf16(x)`, `i32(x)` convert"},
    {" square pow ", "powers are written `x ^ 2`"},
    {" norm ", "`sqrt(sum(x ^ 2, D))`"},
    {" var std ", "`mean((x - mean(x, D)) ^ 2, D)` is the variance"},
    {" group_norm GroupNorm batch_norm instance_norm ",
     "split the channels and normalise over a group of dims: `layer_norm(x, (Cg, Y, X))`"},
    {" mse_loss l1_loss ", "write it: `mean((x - y) ^ 2)`"},
    {" cross_entropy nll_loss log_softmax ",
     "write it in an `op`: log of the sum of exponentials less the label's logit"},
    {" Linear Conv2d conv2d Embedding ",
     "layers are calls with a name for their parameters: `linear(x, D -> F) as fc`, `embed`, "
     "`conv`"},
    {" interpolate upsample ", "`y[b, i, j] = x[b, i // 2, j // 2]` in an `op` repeats pixels"},
    {" range enumerate ", "`repeat name[i: L] with x { ... }` runs a body L times"},
    {" zeros ones full zeros_like ones_like ", "numbers take any shape: `0 * x`, `x + 1`"},
    {" size shape ndim dims numel ",
     "dims are known by name: `extent(D)` is the size of D; as a number `D` will do"},
};

const char *sema_foreign(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < DFM_LEN(table); i++)
        for (const char *at = strstr(table[i].words, name); at; at = strstr(at + 1, name))
            if (at > table[i].words && at[-1] == ' ' && at[n] == ' ') return table[i].help;
    return NULL;
}
