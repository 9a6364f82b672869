/* info.c - `dfm-rt info` and `dfm-rt dis`: nothing of the plan is run or loaded. */
#include "runtime/app/app.h"

dfm_status app_info(app *x, dfm_err *err)
{
    plan p;
    DFM_TRY(plan_open(x->o->plan, &p, err));
    dfm_sb text = dfm_sb_make(x->arena);
    if (x->o->command == APP_DIS) plan_print(&p, &text);
    else plan_print_info(&p, &text);
    plan_close(&p);
    fputs(dfm_sb_cstr(&text), x->out);
    if (fflush(x->out) == 0) return DFM_OK;
    return dfm_fail(err, DFM_CANNOT_WRITE, "cannot write the text");
}
