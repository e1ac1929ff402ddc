/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libtensor alone: this program links nothing of the language, so an arrow that points up is a missing symbol. */
#include "../../tensor/tensor.h"

#include <stdio.h>

static bool check(void)
{
    TensorContext context;
    tensor_context_init(&context, NULL);
    Tensor *x = tensor_zeros(&context, DTYPE_f32, 1, (const int64_t[]){3});
    if (!x) return false;
    const OpDef *exp_row = op_def(OP_exp);
    Tensor *y = NULL;
    int count = 0;
    bool fine = op_call(&context, exp_row, 1, &x, NULL, &y, &count) && count == 1 && tensor_item(y, 0) == 1.0;
    tensor_release(y);
    tensor_release(x);
    return fine && runtime_live_tensors() == 0;
}

int main(void)
{
    bool fine = check();
    printf("1..1\n%s 1 - an op of libtensor without the language\n", fine ? "ok" : "not ok");
    return fine ? 0 : 1;
}
