/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How heap objects of the language are made and freed: for value.c and the files that define a kind of object.
   A free function releases the object's children with value_release and frees the object with heap_delete; value_free
   queues what dies meanwhile, so that no free function ever nests. */
#ifndef TESSERA_HEAP_H
#define TESSERA_HEAP_H

#include "value.h"

/* ---- heap.c: memory of values. Whoever gives a block back knows its size. ---- */
void *heap_take(size_t size);                /* uninitialised; NULL when memory is out */
void heap_give(void *block, size_t size);    /* on any thread; NULL is fine */
/* The block with its first bytes, perhaps elsewhere; NULL when memory is out, [block] stays then. */
void *heap_resize(void *block, size_t size, size_t wanted);
int64_t heap_live_blocks(void);              /* in this process */
int64_t heap_live_bytes(void);

void *heap_new(size_t size);                 /* an object: zeroed, count 1; NULL when memory is out */
void heap_delete(void *object, size_t size);

void string_free(String *string);
void list_free(List *list);
void map_free(Map *map);
void function_free(struct FunctionObject *function);
void model_free(struct ModelObject *model);
void object_free(struct Object *object);
void module_free(struct Module *module);
void error_object_free(ErrorObject *error);

/* -- shared by lists and maps -- */
uint32_t text_hash(const char *text, size_t length);   /* of a string with that text; never 0 */
Value map_key(Value key);                    /* 0-d tensors of ints and bools become plain keys */

#endif
