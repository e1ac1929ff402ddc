/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compile.h"
void contract_free(struct Contract *c){(void)c;}
void contract_registers(const struct Contract *c,int*f,int*n){(void)c;*f=*n=0;}
bool contract_check(Vm *vm, const struct Contract *contract, Value *r, const Proto *proto){(void)vm;(void)contract;(void)r;(void)proto;return true;}
bool contract_check_result(Vm *vm, const struct Contract *contract, Value *r, Value v, const Proto *proto){(void)vm;(void)contract;(void)r;(void)proto;(void)v;return true;}
void contract_compile(Fn *fn, int count, const Parameter *parameters, int first_register, Node *result, Span span){(void)fn;(void)count;(void)parameters;(void)first_register;(void)result;(void)span;}
void contract_check_local(Fn *fn, Node *contract, const char *name, int reg, Span span){(void)fn;(void)contract;(void)name;(void)reg;(void)span;}
