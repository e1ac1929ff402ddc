/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions about whole syntax trees, for tools that read programs without running them. */
#ifndef TESSERA_TREE_H
#define TESSERA_TREE_H

#include "ast.h"

/* Every child of [node] from left to right: unlike node_children also those of declarations, lambdas, contracts. */
void tree_children(Node *node, void (*visit)(Node *child, void *to), void *to);

typedef enum TreeAnswer { TREE_SAME, TREE_DIFFERENT, TREE_NO_MEMORY } TreeAnswer;
/* Whether two programs mean the same: everything but places in the text is compared. */
TreeAnswer tree_compare(const Parse *a, const Parse *b);

#endif
