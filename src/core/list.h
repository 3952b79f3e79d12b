/*
 * A doubly linked list of structs that have a node in them.  Owns nothing.
 */
#ifndef LNT_CORE_LIST_H
#define LNT_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/owner.h"

struct lnt_list_node {
    struct lnt_list_node *next, *prev;
};

/* Zeroed is an empty one. */
struct lnt_list {
    struct lnt_list_node *first, *last;
};

/* The struct of that type whose member is the first in the list, or NULL. */
#define LNT_LIST_FIRST(list, type, member)                                     \
    ((type *)lnt_owner_or_null((list)->first, offsetof(type, member)))

/* The one behind x, or NULL. */
#define LNT_LIST_NEXT(x, type, member)                                         \
    ((type *)lnt_owner_or_null((x)->member.next, offsetof(type, member)))

/* for (type *x ...) in the order of the list.  x may be removed and freed
   meanwhile, the one behind it must stay. */
#define LNT_LIST_EACH(list, type, x, member)                                   \
    for (type *x = LNT_LIST_FIRST(list, type, member), *x##_next;              \
         x && (x##_next = LNT_LIST_NEXT(x, type, member), true); x = x##_next)

/* Behind a node of the list; NULL: in front of all. */
static inline void
lnt_list_add_behind(struct lnt_list *l, struct lnt_list_node *before,
                    struct lnt_list_node *node)
{
    node->prev = before;
    node->next = before ? before->next : l->first;
    *(node->prev ? &node->prev->next : &l->first) = node;
    *(node->next ? &node->next->prev : &l->last) = node;
}

static inline void
lnt_list_add_first(struct lnt_list *l, struct lnt_list_node *node)
{
    lnt_list_add_behind(l, NULL, node);
}

static inline void
lnt_list_add_last(struct lnt_list *l, struct lnt_list_node *node)
{
    lnt_list_add_behind(l, l->last, node);
}

/* It is in the list. */
static inline void
lnt_list_remove(struct lnt_list *l, struct lnt_list_node *node)
{
    *(node->prev ? &node->prev->next : &l->first) = node->next;
    *(node->next ? &node->next->prev : &l->last) = node->prev;
}

#endif
