/*
 * toy: a protocol with named events, and an application of these, for tests.
 */
#ifndef LNT_T_TOY_H
#define LNT_T_TOY_H

#include "net/module.h"

/*
 * The protocol: lines, each a JSON array.  From the client:
 *
 *   ["auth",PAYLOAD]            first, and again after a "no"
 *   ["ev",NAME,ARGS]            an event; ARGS is an array
 *   ["ev",NAME,ARGS,ID]         one that wants an answer; ID is a number
 *   ["ev",NAME,ARGS,ID,[..]]    with attachments, which are strings; ID may be
 *                               null
 *   ["answer",ASK,ARGS]         to an event with a number
 *
 * and to it: ["ok"], ["no",WHY], the same ["ev"..], ["reply",ID,ARGS,[..]],
 * ["bye",CODE,REASON].  Anything else ends the session with 1002.
 */
extern const struct lnt_protocol toy_protocol;

#endif
