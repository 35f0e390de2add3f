{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE GHCForeignImportPrim #-}
{-# LANGUAGE MagicHash #-}
{-# LANGUAGE ScopedTypeVariables #-}
{-# LANGUAGE UnboxedTuples #-}
{-# LANGUAGE UnliftedFFITypes #-}
-- |
-- Brackets that may stand in pure code.
--
-- A thread that evaluates a lazy value, and is sent an exception (by a timeout, by
-- 'Control.Concurrent.killThread'), leaves the value frozen as far as it came: who asks for it again goes on
-- there. But a handler between the two ends that: it throws the exception again as one of its own, and that
-- is then what the value is, for ever. So it is with base's @bracket@ under @unsafePerformIO@.
--
-- Here the action of a bracket runs as a lazy value does, within @catch#@. So an exception from outside
-- freezes it before the handler is called. The handler looks whether it stands in another lazy value. If not,
-- it frees and rethrows. If it does, it gives the block to a finalizer, and throws the exception to its own
-- thread, which freezes that value, too. Who goes on with it returns from the handler, takes the block back
-- from the finalizer, and goes on with the action. If nobody does, the garbage collector frees the block.
--
-- A transaction (STM) that GHC begins again, because what it has read has changed, is dropped where it
-- stands, and no handler is called. So in a transaction the block goes to such a finalizer, not into a cell,
-- and the collector frees it ('placeInTransaction').
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Bracket
  ( Ending (..)
  , Step
  , noBlock
  , bracketed
  , inTransaction
  , placeInTransaction
  , disarm
  , run
  ) where

import Control.Exception (SomeException)
import Control.Monad (unless)
import Foreign.C.Types (CSize)
import Foreign.ForeignPtr (FinalizerPtr)
import Foreign.Ptr (nullPtr)
import GHC.Exts
import GHC.IO (IO (..))
import GHC.Word (Word64)

import Mimalloc.Internal.Error
import Mimalloc.Internal.FFI
import Mimalloc.Internal.Numbers (noBlockSize)

-- | What ends with the bracket, beside the block in its cell.
data Ending
  = NoMore                            -- ^ nothing
  | Holding (IO ()) (Maybe (IO Word64)) -- ^ this is done if an exception ends it, and what it refers to
                                      --   lives as long; if that is a heap that ends with its blocks, this
                                      --   is its id, or 0 when it has ended
  | Ends (IO ())                      -- ^ this is done if an exception ends it; it has a finalizer that does
                                      --   the same

-- Values for C-- are of this type, and what it returns.
foreign import prim "mi_bracket_run"       run#
  :: Any -> Any -> MutableByteArray# RealWorld -> Word# -> State# RealWorld -> (# State# RealWorld, Any #)
foreign import prim "mi_bracket_enter"     enter#
  :: Any -> State# RealWorld -> (# State# RealWorld, Any #)
foreign import prim "mi_bracket_fate"      fate#
  :: Any -> Any -> State# RealWorld -> (# State# RealWorld, Word# #)
foreign import prim "mi_bracket_interrupt" interrupt#
  :: Any -> Any -> State# RealWorld -> (# State# RealWorld, Any #)
-- Frees the block in the cell, and returns the value.
foreign import prim "mi_bracket_free"      free#
  :: MutableByteArray# RealWorld -> Any -> State# RealWorld -> (# State# RealWorld, Any #)
foreign import prim "mi_bracket_take_back" takeBack#
  :: Weak# () -> MutableByteArray# RealWorld -> State# RealWorld -> (# State# RealWorld #)
foreign import prim "mi_disarm"            disarm#
  :: Weak# () -> State# RealWorld -> (# State# RealWorld, Word# #)
foreign import prim "mi_in_transaction"    inTransaction#
  :: State# RealWorld -> (# State# RealWorld, Word# #)

-- | What an action is inside.
type Step a = State# RealWorld -> (# State# RealWorld, a #)

-- | No size at all.
noBlock :: CSize
noBlock = fromIntegral noBlockSize

type Handler = SomeException -> Step Any

-- | What an action is made of.
run :: IO a -> Step a
run (IO m) = m
{-# INLINE run #-}

-- | Takes a block of so many bytes into the cell, if it is not 'noBlock', runs an action, which may do so
-- too, and frees what is in the cell. An exception finds there what is left to be freed. From where the
-- action returns to where that is free is one step. One function for all of them: by the code of the handler
-- a bracket's frames are told from others. The handler must find its frame below its own, and that has more
-- than one word.
bracketed :: Ending -> Cell -> CSize -> Step a -> Step a
bracketed ending cell@(Cell array) bytes act s0 = case catch# begin handler s0 of
  (# s1, r #) -> case free# array r s1 of (# s2, same #) -> (# s2, unsafeCoerce# same #)
  where
    -- A lazy value, as any that is being evaluated; what an exception from outside makes the frozen action.
    marker = unevaluated act
    begin = run# marker (unsafeCoerce# act) array size
    handler e s1 = interrupted ending cell marker handler e s1
    !(W# size) = fromIntegral bytes
{-# NOINLINE bracketed #-}

-- | Whether the thread is in a transaction.
inTransaction :: IO Bool
inTransaction = IO $ \s -> case inTransaction# s of (# s', w #) -> (# s', isTrue# (neWord# w 0##) #)
{-# INLINE inTransaction #-}

-- | Where the block of a bracket goes in a transaction: to a weak pointer.
placeInTransaction :: Ending -> Cell -> IO Place
placeInTransaction ending cell = do
  Armed weak <- finalized mi_cap_free_held_finalizer ending cell nullPtr
  pure (inFinalizer weak)
{-# NOINLINE placeInTransaction #-}

-- A weak pointer, keyed by the cell, whose finalizer frees the block, or what is put into its place later.
-- The block of a heap that ends with its blocks has another finalizer, which frees it only while that lives:
-- both may die in one collection, or the heap by hand.
finalized :: FinalizerPtr () -> Ending -> Cell -> Ptr () -> IO Armed
finalized (FunPtr free) ending (Cell key) (Ptr p) = case ending of
  Holding _ (Just heapId) -> heapId >>= \n -> case fromIntegral n of I# i -> with freeOfHeap 1# (int2Addr# i)
  _ -> with free 0# nullAddr#
  where
    !(FunPtr freeOfHeap) = mi_cap_free_of_heap_finalizer
    with f hasEnvironment environment = IO $ \s0 -> case mkWeakNoFinalizer# key () s0 of
      (# s1, weak #) -> case addCFinalizerToWeak# f p hasEnvironment environment weak s1 of
        (# s2, _ #) -> (# s2, Armed weak #)

-- Nobody evaluates this.
unevaluated :: Step a -> Any
unevaluated act = unsafeCoerce# act
{-# NOINLINE unevaluated #-}

-- Asynchronous exceptions are masked. The last step is a jump.
interrupted :: Ending -> Cell -> Any -> Handler -> Handler
interrupted ending !cell frozen handler e s0 = case fate# frozen (unsafeCoerce# handler) s0 of
  (# s1, 0## #) -> case run (endNow ending cell) s1 of (# s2, _ #) -> raiseIO# e s2
  (# s1, _ #) -> case run (arm ending cell) s1 of
    (# s2, armed #) -> interrupt# (unsafeCoerce# e) (unsafeCoerce# (again armed)) s2
  where
    again :: Maybe Armed -> Step Any
    again armed s1 = case run (mapM_ (stillThere ending cell) armed) s1 of
      (# s2, _ #) -> catch# (resume armed) handler s2
    resume armed s1 = case run (mapM_ (goesOn cell) armed) s1 of (# s2, _ #) -> enter# frozen s2
{-# NOINLINE interrupted #-}

-- Where a finalizer of Haskell's asks for what was lost, C's may have freed the block before; or its heap was
-- ended by hand. The value is that error then, since no handler of ours sees it.
stillThere :: Ending -> Cell -> Armed -> IO ()
stillThere ending cell (Armed weak) = do
  there <- isAlive weak
  lives <- case ending of
    Holding _ (Just heapId) -> (/= 0) <$> heapId
    _ -> pure True
  unless (there && lives) $ endNow ending cell >> blockIsGone "bracket"

-- The bracket frees its block at its end. In a transaction there may be none, so the finalizer keeps it.
goesOn :: Cell -> Armed -> IO ()
goesOn (Cell cell) (Armed weak) = do
  dropped <- inTransaction
  unless dropped $ IO $ \s -> case takeBack# weak cell s of (# s' #) -> (# s', () #)

-- | The C finalizer of a weak pointer, which has one, gets a null pointer: true. Or it was run, or will be.
disarm :: Weak# () -> IO Bool
disarm weak = IO $ \s -> case disarm# weak s of (# s', w #) -> (# s', isTrue# (neWord# w 0##) #)

isAlive :: Weak# () -> IO Bool
isAlive weak = IO $ \s -> case deRefWeak# weak s of (# s', alive, _ #) -> (# s', isTrue# alive #)

data Armed = Armed (Weak# ())

endNow :: Ending -> Cell -> IO ()
endNow ending cell = case ending of
  NoMore -> mi_fast_free_from cell
  Holding end _ -> mi_fast_free_from cell >> end
  Ends end -> end

-- A finalizer for the block in the cell, which is empty then, when it is to be freed if nobody goes on.
arm :: Ending -> Cell -> IO (Maybe Armed)
arm ending cell = do
  p <- peekCell cell
  if p == nullPtr then pure Nothing else do
    armed <- finalized mi_cap_free_finalizer ending cell p
    Just armed <$ emptyCell cell
