/* The stack of a Haskell thread, as far as brackets must read it (bracket.cmm). Capability-held, all of it,
   and the thread that is read is the one that calls. */
#include "Rts.h"

static StgWord type_of(const StgClosure* frame) { return get_ret_itbl(frame)->i.type; }

/* How many words a frame has. */
StgWord mi_frame_words(StgClosure* frame) {
  const StgRetInfoTable* info = get_ret_itbl(frame);
  switch (info->i.type) {
    case RET_FUN: return sizeofW(StgRetFun) + ((StgRetFun*)frame)->size;
    case RET_BIG: return 1 + GET_LARGE_BITMAP(&info->i)->size;
    case RET_BCO: return 2 + BCO_BITMAP_SIZE((StgBCO*)((P_)frame)[1]);
    default:      return 1 + BITMAP_SIZE(info->i.layout.bitmap);
  }
}

/* A stack is a list of chunks, whose last frames lead to the next. */
static StgClosure* frame_at(StgPtr sp) {
  StgClosure* frame = (StgClosure*)sp;
  while (type_of(frame) == UNDERFLOW_FRAME) frame = (StgClosure*)((StgUnderflowFrame*)frame)->next_chunk->sp;
  return frame;
}

static StgClosure* frame_below(StgClosure* frame) { return frame_at((StgPtr)frame + mi_frame_words(frame)); }

static bool is_bracket(StgClosure* frame, const StgInfoTable* handler) {
  return type_of(frame) == CATCH_FRAME
         && UNTAG_CLOSURE(((StgCatchFrame*)frame)->handler)->header.info == handler;
}

/* Whether an exception that is thrown from here to the thread itself freezes what stands here, because a lazy
   value is being evaluated. What stands on a handler, or on no lazy value, is dropped. The lazy action of a
   bracket, which stands on that bracket's handler, is of no account: that handler will decide in its turn. */
static bool is_frozen_here(StgPtr sp, const StgInfoTable* handler) {
  for (StgClosure* frame = frame_at(sp); ; frame = frame_below(frame)) {
    switch (type_of(frame)) {
      case UPDATE_FRAME:
        frame = frame_below(frame);
        if (!is_bracket(frame, handler)) return true;
        break;
      case CATCH_FRAME: case STOP_FRAME: case ATOMICALLY_FRAME:
        return false;
      default:
        break;
    }
  }
}

/* An exception that comes from outside freezes a lazy value that is being evaluated, in an AP_STACK; one that
   the evaluation throws makes the value that exception. */
static bool is_frozen(const StgClosure* value) {
  for (;;) {
    value = UNTAG_CONST_CLOSURE(value);
    switch (get_itbl(value)->type) {
      case IND: case IND_STATIC: case BLACKHOLE:
        value = ((const StgInd*)value)->indirectee;
        break;
      case AP_STACK:
        return true;
      default:
        return false;
    }
  }
}

/* Whether the lazy action of a bracket, that an exception has left, will be gone on with if somebody asks for
   the value that it is part of. Called in the handler, on its stack. */
StgWord mi_bracket_resumable(const StgClosure* action, const StgClosure* handler, StgPtr sp) {
  return is_frozen(action) && is_frozen_here(sp, UNTAG_CONST_CLOSURE(handler)->header.info);
}
