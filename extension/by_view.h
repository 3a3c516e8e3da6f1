/* by_view.h - the second wall: our functions work only inside of views. */
#ifndef RINGFENCE_BY_VIEW_H
#define RINGFENCE_BY_VIEW_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/primnodes.h"

/* An expression that a client wrote notes where it stood in his text; one of a view does not. */
static inline void refuse_by_hand(const FmgrInfo *function)
{
    if (function->fn_expr != NULL && IsA(function->fn_expr, FuncExpr) &&
        ((const FuncExpr *)function->fn_expr)->location < 0)
        return;
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("this function works only inside of views")));
}

#endif
