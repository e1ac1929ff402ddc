/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What belongs to the computation that runs rather than to the session: set aside while another text is evaluated in its
   midst, and put back. Variables, functions, modules, objects and the random generator are the session's and shared.

   Where it may be done: whenever no instruction and no native is half done with a value that it only borrowed. That is so
   at vm_safe_point, which the loop in vm.c, sleep() and calls from natives pass: registers own what they hold, values
   that someone else holds are not changed in place, and running code keeps its function, its module's slots and its
   model alive whatever is defined meanwhile. Inside an op it is not so. */
#ifndef TESSERA_SUSPEND_H
#define TESSERA_SUSPEND_H

#include "session.h"

typedef struct Suspended {
    TensorContext tensors;    /* its error, recording, boundary, meta, defer and watch; within gradient calls its random
                                 state too, since what they run may be run again */
    bool training, exiting, keeps_failures;
    int held;
    int exit_code, floor;
    Value thrown, last;       /* last: `_` */
    Trace *trace;
    struct Failure *failure;
    char operand_name[ERROR_MAX_OPERANDS][32];
    SuspendedProgress progress;
    Value places;
    int old_places;
    struct Record *record;
} Suspended;

/* Each suspend is paired with one resume, innermost first. The computation's frames stay where they are: what is
   evaluated goes on above them. */
void vm_suspend(Vm *vm, Suspended *kept);
void vm_resume(Vm *vm, Suspended *kept);
/* Whether there is room on the C stack for another text, and the place is one where cells of front ends may run:
   outside of gradient calls, which hold the parameters of models, and of modules that are half loaded. */
bool vm_may_visit(const Vm *vm);

#endif
