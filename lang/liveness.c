/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can be said of code without running it: the registers of each instruction, by opcodes.def; where registers die
   (so that a value is freed at its last use and an argument moves into the call); and the disassembly.
   Invariant: a register with a KILL flag is not read again on any path before it is written. */
#include <stdlib.h>
#include <string.h>

#include "debug.h"
#include "machine.h"

#define NO OPERAND_NO
#define W OPERAND_W
#define R OPERAND_R
#define S OPERAND_S
#define X OPERAND_X
#define K OPERAND_K
#define N OPERAND_N
#define G OPERAND_G
#define J OPERAND_J
#define I OPERAND_I
#define T OPERAND_T
const OpcodeInfo opcode_info[] = {
#define OPCODE(name, a, b, c, range, effect) [CODE_##name] = {#name, {a, b, c}, RANGE_##range},
#include "opcodes.def"
#undef OPCODE
};
#undef NO
#undef W
#undef R
#undef S
#undef X
#undef K
#undef N
#undef G
#undef J
#undef I
#undef T

void code_range(const Proto *proto, Code w, RegisterRange *range)
{
    int a = (int)CODE_A(w), b = (int)CODE_B(w), c = (int)CODE_C(w);
    *range = (RegisterRange){0};
    switch ((RangeKind)opcode_info[CODE_OP(w)].range) {
    case RANGE_NONE: break;
    case RANGE_CALL:
        range->take_first = a;
        range->take_count = b + 1;
        break;
    case RANGE_METHOD:
        range->take_first = a + 1;
        range->take_count = b + 1;
        break;
    case RANGE_SEQUENCE:
        range->take_first = a;
        range->take_count = b;
        break;
    case RANGE_PATH:
        range->take_first = b;
        range->take_count = proto->paths[c].n_values;
        break;
    case RANGE_UNPACK:
        range->fill_first = a;
        range->fill_count = c;
        break;
    case RANGE_PAIR:
        range->fill_first = a;
        range->fill_count = 2;
        break;
    case RANGE_ITERATOR:
        range->read_first = a;
        range->read_count = 2;
        break;
    case RANGE_CLEAR:
        range->fill_first = a;
        range->fill_count = b;
        break;
    case RANGE_CONTRACT:
        range->read_first = proto->has_self ? 1 : 0;
        range->read_count = proto->n_params;
        contract_registers(proto->contracts[c], &range->fill_first, &range->fill_count);
        break;
    case RANGE_RESULT: contract_registers(proto->contracts[c], &range->read_first, &range->read_count); break;
    }
}

/* ---- liveness: backwards over the code until nothing changes ---- */

typedef struct Liveness {
    Proto *proto;
    const bool *pinned;
    int words;
    uint64_t *in;             /* [n_code][words]: live before the instruction */
    uint64_t *now;            /* [words] */
} Liveness;

static void set_bits(uint64_t *bits, int first, int count, bool on)
{
    for (int r = first; r < first + count; r++)
        if (on)
            bits[r / 64] |= (uint64_t)1 << (r % 64);
        else
            bits[r / 64] &= ~((uint64_t)1 << (r % 64));
}

static void join(Liveness *l, int64_t pc)
{
    if (pc >= 0 && pc < l->proto->n_code)
        for (int i = 0; i < l->words; i++)
            l->now[i] |= l->in[pc * l->words + i];
}

static bool ends(Opcode op)
{
    return op == CODE_RETURN || op == CODE_RETURN_FIXED || op == CODE_THROW || op == CODE_RETHROW || op == CODE_ASSERT;
}

static bool skips(Opcode op)
{
    return (op >= CODE_TEST_EQ && op <= CODE_TEST_GE_K) || op == CODE_NEXT || op == CODE_NEXT_COUNT;
}

/* A handler may start anywhere in its region. */
static void join_handlers(Liveness *l, int pc)
{
    for (int i = 0; i < l->proto->n_handlers; i++) {
        const Handler *handler = &l->proto->handlers[i];
        if (pc < handler->start || pc >= handler->end)
            continue;
        if (handler->kind == HANDLER_CLOSE)
            set_bits(l->now, handler->reg, 2, true);
        else
            join(l, handler->target);
    }
}

/* What is live after instruction [pc]. */
static void live_after(Liveness *l, int pc)
{
    Code w = l->proto->code[pc];
    Opcode op = CODE_OP(w);
    const OpcodeInfo *info = &opcode_info[op];
    memset(l->now, 0, (size_t)l->words * sizeof *l->now);
    if (op != CODE_JUMP && op != CODE_LOOP && !ends(op))
        join(l, pc + 1);
    if (info->operand[1] == OPERAND_J)
        join(l, (int64_t)pc + 1 + CODE_WIDE(w));
    if (skips(op))
        join(l, pc + 2);
    join_handlers(l, pc);
}

static unsigned operand_register(Code w, int i)
{
    return i == 0 ? CODE_A(w) : i == 1 ? CODE_B(w) : CODE_C(w);
}

/* Turns "live after" into "live before". What an instruction writes is dead before it, except where it may not come
   to the writing: in a handler, and after the end of a loop. */
static void live_before(Liveness *l, int pc)
{
    Code w = l->proto->code[pc];
    const OpcodeInfo *info = &opcode_info[CODE_OP(w)];
    RegisterRange range;
    code_range(l->proto, w, &range);
    for (int i = 0; i < 3; i++)
        if (info->operand[i] == OPERAND_W)
            set_bits(l->now, (int)operand_register(w, i), 1, false);
    set_bits(l->now, range.fill_first, range.fill_count, false);
    join_handlers(l, pc);
    if (skips(CODE_OP(w)))
        join(l, pc + 2);
    for (int i = 0; i < 3; i++)
        if (info->operand[i] == OPERAND_R || info->operand[i] == OPERAND_S || info->operand[i] == OPERAND_X)
            set_bits(l->now, (int)operand_register(w, i), 1, true);
    set_bits(l->now, range.read_first, range.read_count, true);
    set_bits(l->now, range.take_first, range.take_count, true);
}

static bool sweep(Liveness *l)
{
    bool changed = false;
    for (int pc = l->proto->n_code - 1; pc >= 0; pc--) {
        live_after(l, pc);
        live_before(l, pc);
        uint64_t *in = &l->in[(size_t)pc * (size_t)l->words];
        if (memcmp(in, l->now, (size_t)l->words * sizeof *in) != 0) {
            memcpy(in, l->now, (size_t)l->words * sizeof *in);
            changed = true;
        }
    }
    return changed;
}

static void mark(Liveness *l)
{
    for (int pc = 0; pc < l->proto->n_code; pc++) {
        Code w = l->proto->code[pc];
        const OpcodeInfo *info = &opcode_info[CODE_OP(w)];
        live_after(l, pc);
        for (int i = 0; i < 3; i++) {
            unsigned r = operand_register(w, i);
            if (info->operand[i] != OPERAND_R || l->pinned[r] || (l->now[r / 64] >> (r % 64) & 1)) {
                /* a register that is written here holds its old value no longer, whatever comes after */
                bool rewritten = info->operand[i] == OPERAND_R && !l->pinned[r] && info->operand[0] == OPERAND_W &&
                                 i > 0 && CODE_A(w) == r;
                if (!rewritten)
                    continue;
            }
            /* the same register twice in one instruction dies once */
            bool again = (i < 2 && info->operand[2] == OPERAND_R && operand_register(w, 2) == r && i != 2) ||
                         (i < 1 && info->operand[1] == OPERAND_R && operand_register(w, 1) == r);
            if (!again)
                l->proto->code[pc] |= (Code)(1u << i) << 8;
        }
    }
}

bool liveness_run(Proto *proto, const bool *pinned)
{
    Liveness l = {.proto = proto, .pinned = pinned, .words = proto->n_registers / 64 + 1};
    if ((int64_t)proto->n_code * l.words > 1 << 22)
        return true;          /* a huge text: its values live until they are overwritten */
    l.in = calloc((size_t)proto->n_code * (size_t)l.words + 1, sizeof *l.in);
    l.now = calloc((size_t)l.words, sizeof *l.now);
    if (l.in && l.now) {
        while (sweep(&l)) {}
        mark(&l);
    }
    bool done = l.in && l.now;
    free(l.in);
    free(l.now);
    return done;
}

/* ---- the end of a Proto ---- */

static void free_tables(Proto *p)
{
    for (int i = 0; i < p->n_constants; i++)
        value_release(p->constants[i]);
    for (int i = 0; i < p->n_protos; i++)
        proto_release(p->protos[i]);
    for (int i = 0; i < p->n_methods; i++)
        proto_release(p->methods[i]);
    for (int i = 0; i < p->n_contracts; i++)
        contract_free(p->contracts[i]);
    for (int i = 0; i < p->n_sites; i++) {
        free(p->sites[i].names);
        free(p->sites[i].spread);
    }
    for (int i = 0; i < p->n_paths; i++)
        free(p->paths[i].step);
    for (int i = 0; i < p->n_templates; i++) {
        for (int j = 0; j < p->templates[i].count; j++) {
            free((char *)(uintptr_t)p->templates[i].part[j].text);
            free((char *)(uintptr_t)p->templates[i].part[j].spec);
        }
        free(p->templates[i].part);
    }
}

void proto_release(Proto *p)
{
    if (!p || --p->refs > 0)
        return;
    if (p->link)
        *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    free_tables(p);
    source_release(p->source);
    free(p->signature);
    free(p->doc);
    free(p->code);
    free(p->spans);
    free(p->constants);
    free(p->protos);
    free(p->methods);
    free(p->sites);
    free(p->indexes);
    free(p->paths);
    free(p->templates);
    free(p->handlers);
    free(p->operands);
    free(p->contracts);
    free(p->names);
    free(p->marks);
    free(p->debug);
    free(p->params);
    free(p->fields);
    free(p);
}

/* ---- disassembly ---- */

static void disassemble_constant(Value v, Text *out)
{
    char described[96];
    if (v.tag == TAG_INT) text_format(out, " %lld", (long long)v.i);
    else if (v.tag == TAG_FLOAT) text_format(out, " %g", v.f);
    else if (v.tag == TAG_STRING) text_format(out, " \"%.40s\"", v.string->text);
    else {
        value_describe(v, described, sizeof described);
        text_format(out, " (%s)", described);
    }
}

static void operand_text(const Proto *proto, int pc, Code w, int i, Text *out)
{
    static const char kill[] = "!";
    switch ((OperandKind)opcode_info[CODE_OP(w)].operand[i]) {
    case OPERAND_NO: return;
    case OPERAND_W:
    case OPERAND_R:
    case OPERAND_S:
    case OPERAND_X:
        text_format(out, " r%u%s", operand_register(w, i), CODE_FLAGS(w) & (1u << i) ? kill : "");
        return;
    case OPERAND_J: text_format(out, " ->%d", pc + 1 + CODE_WIDE(w)); return;
    case OPERAND_I: text_format(out, " %d", CODE_WIDE(w)); return;
    case OPERAND_G: text_format(out, " %s", proto->module->slot[CODE_WIDE(w)].name); return;
    case OPERAND_K: disassemble_constant(proto->constants[i == 1 ? CODE_WIDE(w) : (int)CODE_C(w)], out); return;
    case OPERAND_T:
        text_format(out, " t%u", operand_register(w, i));
        if ((CODE_OP(w) == CODE_GET_MEMBER || CODE_OP(w) == CODE_CALL_METHOD) && proto->sites[CODE_C(w)].name)
            text_format(out, " .%s", proto->sites[CODE_C(w)].name);
        return;
    case OPERAND_N: text_format(out, " %u", operand_register(w, i)); return;
    }
}

Code proto_code(const Proto *proto, int pc)
{
    Code w = proto->code[pc];
    return CODE_OP(w) == CODE_BREAK && proto->debug ? (w & ~(Code)255) | (proto->debug->original[pc] & 255) : w;
}

void proto_disassemble(const Proto *proto, Text *out)
{
    text_format(out, "%s: %d registers, %d parameters\n", proto->name && *proto->name ? proto->name : "code",
                proto->n_registers, proto->n_params);
    for (int pc = proto->entry; pc < proto->n_code; pc++) {
        Code w = proto_code(proto, pc);
        text_format(out, "%5d  %-16s", pc, opcode_info[CODE_OP(w)].name);
        for (int i = 0; i < 3; i++)
            operand_text(proto, pc, w, i, out);
        text_format(out, "\n");
    }
    for (int i = 0; i < proto->n_protos; i++)
        proto_disassemble(proto->protos[i], out);
    for (int i = 0; i < proto->n_methods; i++)
        proto_disassemble(proto->methods[i], out);
}
