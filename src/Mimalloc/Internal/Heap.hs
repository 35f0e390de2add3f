{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE MagicHash #-}
{-# LANGUAGE RoleAnnotations #-}
{-# LANGUAGE UnboxedTuples #-}
-- |
-- Heaps of their own: how long they live, and blocks from them.
--
-- A heap is a mutable array of GHC's, the /key/: a word with C's pointer (null when the heap has ended), a
-- word that says how its foreign pointers live, and, if they live together, for each capability C's pointer
-- to what it has of the heap, null until it is known (@cbits\/ghc\/fast.cmm@), and for the first of them
-- where what was packed last ends.
--
-- * /Each/: every one has a finalizer, as those from anywhere else. The heap is deleted at the end of a
--   bracket; live blocks go to the main heap and are freed by their finalizers.
-- * /Together/: none has a finalizer. Each holds the key, as GHC's own pinned foreign pointers hold their
--   array, and one weak pointer, keyed by the key, destroys the heap with all its blocks when nobody holds it
--   any more.
--
-- A key that pointers hold must have no copy: a compact region ("GHC.Compact") copies small arrays, and
-- pointers copied into it would hold the copy, not the heap. It refuses pinned ones; but small pinned arrays
-- that share a block live and die together. So such a key is pinned and large enough (from 3277 bytes on) to
-- have a block to itself.
--
-- Another word is the number of those who use the heap just now: who are in C with the heap's pointer, and
-- who are in the bracket of a block. It is negative when the heap has ended. The end of a bracket, and
-- 'closeHeap', end the heap at once if there is nobody. Else, and if the bracket is in pure code that is
-- given up, a weak pointer keyed by the key does, when the key is not reachable.
--
-- The last word, of a heap whose pointers live together, is C's id of it, which no other heap has had or
-- will: by that the block of a bracket that nobody goes on with is freed only while the heap lives.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Heap
  ( Heap
    -- * Making and ending
  , newHeapTogether
  , withHeapEach
  , withHeapTogether
  , closeHeap
  , destroyHeap
  , renameHeap
    -- * Blocks
  , ofHeap
  , newHeapBlock
  , newHeapBytes
  , newHeapPacked
  , newHeapOfBlocks
  , heapBlock
  , withHeapBlock
  , usingHeap
  , touchHeap
  ) where

import Control.DeepSeq (NFData (..))
import Control.Exception (evaluate)
import Control.Monad (void, when)
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder (stringUtf8, toLazyByteString)
import qualified Data.ByteString.Lazy as Lazy
import Foreign.C.Error (eINVAL, getErrno)
import Foreign.C.Types (CInt)
import Foreign.ForeignPtr (FinalizerPtr)
import Foreign.Ptr (nullPtr)
import GHC.Exts
import GHC.ForeignPtr (ForeignPtr (..), ForeignPtrContents (..))
import GHC.IO (IO (..))
import GHC.Word (Word64 (..))

import Mimalloc.Internal.Alloc
import Mimalloc.Internal.Bracket
import Mimalloc.Internal.Error
import Mimalloc.Internal.FFI
import Mimalloc.Internal.Numbers

-- | A heap. The type parameter names the bracket that the heap belongs to, so that it cannot be returned from
-- it.
--
-- @since 0.1.0.0
data Heap s = Heap (MutableByteArray# RealWorld) (Weak# ()) -- the key; what is keyed by it, and ends the heap
type role Heap nominal

-- | A heap is equal to itself only, as an @IORef@ is.
--
-- @since 0.1.0.0
instance Eq (Heap s) where
  Heap a _ == Heap b _ = isTrue# (sameMutableByteArray# a b)

-- | It is evaluated as far as it can be.
--
-- @since 0.1.0.0
instance NFData (Heap s) where
  rnf heap = heap `seq` ()

-- How the foreign pointers live: the key's second word. Together, but none was made yet; or one was. The heap
-- has ended.
each, together, togetherMade, ended :: Int
each = 0
together = 1
togetherMade = keyTogether
ended = 3

newKey :: Int -> State# RealWorld -> (# State# RealWorld, MutableByteArray# RealWorld #)
newKey life s0
  | life == each = key (newByteArray# 24#) 24#
  | otherwise = key (newPinnedByteArray# size#) (used# +# 16#)
  where
    key new cleared# = case new s0 of
      (# s1, array #) -> case setByteArray# array 0# cleared# 0# s1 of
        s2 -> case writeIntArray# array at life# s2 of s3 -> (# s3, array #)
    !(I# life#) = life
    !(I# at) = keyLife `quot` 8
    !(I# size#) = keySize
    !(I# used#) = keyUsed

readHeap :: Heap s -> IO (Ptr MiHeap)
readHeap (Heap key _) = IO $ \s -> case readAddrArray# key at s of (# s', a #) -> (# s', Ptr a #)
  where !(I# at) = keyHeap `quot` 8
{-# INLINE readHeap #-}

writeHeap :: Heap s -> Ptr MiHeap -> IO ()
writeHeap (Heap key _) (Ptr a) = IO $ \s -> (# writeAddrArray# key at a s, () #)
  where !(I# at) = keyHeap `quot` 8

readLife :: Heap s -> IO Int
readLife (Heap key _) = IO $ \s -> case readIntArray# key at s of (# s', n #) -> (# s', I# n #)
  where !(I# at) = keyLife `quot` 8
{-# INLINE readLife #-}

writeLife :: Heap s -> Int -> IO ()
writeLife (Heap key _) (I# n) = IO $ \s -> (# writeIntArray# key at n s, () #)
  where !(I# at) = keyLife `quot` 8
{-# INLINE writeLife #-}

-- The id is there before the heap's pointer.
writeId :: Heap s -> Ptr MiHeap -> IO ()
writeId (Heap key _) p = mi_cap_heap_id p >>= \(W64# w) -> IO $ \s -> (# writeWord64Array# key at w s, () #)
  where !(I# at) = keyUsed `quot` 8 + 1

-- The same, or 0 if the heap has ended.
readId :: Heap s -> IO Word64
readId heap@(Heap key _) = readHeap heap >>= \p -> if p == nullPtr then pure 0 else
  IO $ \s -> case readWord64Array# key at s of (# s', w #) -> (# s', W64# w #)
  where !(I# at) = keyUsed `quot` 8 + 1

touchHeap :: Heap s -> IO ()
touchHeap (Heap key _) = IO $ \s -> (# touch# key s, () #)
{-# INLINE touchHeap #-}

-- The life `together` becomes another, if it is that still.
changeLife :: Heap s -> Int -> IO Bool
changeLife (Heap key _) (I# to) =
  IO $ \s -> case casIntArray# key at old# to s of (# s', old #) -> (# s', isTrue# (old ==# old#) #)
  where
    !(I# old#) = together
    !(I# at) = keyLife `quot` 8

-- | Does something with C's heap, which lives meanwhile. Throws an illegal operation if it has ended. Nobody
-- ends a heap at once that has foreign pointers without finalizers.
usingHeap :: String -> Heap s -> (Ptr MiHeap -> IO a) -> IO a
usingHeap name heap act = do
  life <- enter name heap
  r <- inHeap name heap act
  r <$ leave heap life
{-# INLINE usingHeap #-}

-- The same for who is in.
inHeap :: String -> Heap s -> (Ptr MiHeap -> IO a) -> IO a
inHeap name heap act = readHeap heap >>= \p -> if p == nullPtr then heapEnded name else act p
{-# INLINE inHeap #-}

-- Its life when it was entered. Whoever does not leave, because of an exception, leaves the heap's end to the
-- collector.
enter :: String -> Heap s -> IO Int
enter name heap = do
  life <- readLife heap
  if life == togetherMade then pure life else if life == ended then heapEnded name else do
    ins <- addIns heap life 1
    if ins < 0 then heapEnded name else pure life
{-# INLINE enter #-}

leave :: Heap s -> Int -> IO ()
leave heap life = when (life /= togetherMade) (void (addIns heap life (-1))) >> touchHeap heap
{-# INLINE leave #-}

-- Where the number of those who are in stands, of a heap that lives so.
insAt :: Int -> Int
insAt life = if life == each then 2 else keyUsed `quot` 8
{-# INLINE insAt #-}

-- How many were in.
addIns :: Heap s -> Int -> Int -> IO Int
addIns (Heap key _) life (I# n) =
  IO $ \s -> case fetchAddIntArray# key at n s of (# s', old #) -> (# s', I# old #)
  where !(I# at) = insAt life
{-# INLINE addIns #-}

-- Nobody is in, and nobody comes in any more; or somebody is. False, too, when it was done before.
shut :: Heap s -> IO Bool
shut heap@(Heap key _) = do
  I# at <- insAt <$> readLife heap
  IO $ \s -> case casIntArray# key at 0# never s of (# s', old #) -> (# s', isTrue# (old ==# 0#) #)
  where !(I# never) = minBound `quot` 2

-- A heap that a finalizer ends, which is there first.
newHeapOf :: String -> Int -> Bool -> FinalizerPtr MiHeap -> Int -> CInt -> IO (Heap s)
newHeapOf name life weighs (FunPtr finalizer) tag arena
  | tag < fromIntegral (minBound :: CInt) || tag > fromIntegral (maxBound :: CInt) = outOfRange name "tag" tag
  | otherwise = IO $ \s0 -> case newKey life s0 of
      (# s1, key #) -> case mkWeakNoFinalizer# key () s1 of
        (# s2, weak #) -> case addCFinalizerToWeak# finalizer nullAddr# 0# nullAddr# weak s2 of
          (# s3, _ #) -> let heap = Heap key weak in case run (made heap) s3 of (# s4, _ #) -> (# s4, heap #)
  where
    made heap@(Heap _ weak) = do
      p <- orNoMemory name 4096 $ do
        p <- mi_heap_new_finalized weak (fromIntegral tag) (bool (life /= each)) arena
        e <- getErrno
        p <$ when (p == nullPtr && e == eINVAL) (noArena name (fromIntegral arena))
      when weighs $ mi_cap_heap_weigh p
      when (life /= each) $ writeId heap p
      writeHeap heap p

-- | A heap whose foreign pointers live together; the collector knows how large it is.
newHeapTogether :: String -> Int -> CInt -> IO (Heap s)
newHeapTogether name tag arena =
  mi_cap_pressure_look >> relieved >> newHeapOf name together True mi_cap_heap_destroy_finalizer tag arena

-- | Nobody gets anything from it any more, if it is one whose foreign pointers live together. It goes now if
-- it has no foreign pointers and nobody uses it, else when it is not reachable any more.
closeHeap :: Heap s -> IO ()
closeHeap heap = do
  nobody <- shut heap
  noPointers <- changeLife heap ended
  writeLife heap ended
  -- Whoever read its life before that goes on to its pointer (fast.cmm).
  when (nobody && noPointers) $ writeHeap heap nullPtr >> finalize heap
  touchHeap heap

-- | The same, and it goes now with all its blocks. Nobody may use it meanwhile.
destroyHeap :: Heap s -> IO ()
destroyHeap heap = closeHeap heap >> writeHeap heap nullPtr >> finalize heap >> touchHeap heap

-- What the finalizer does, at once, and only once.
finalize :: Heap s -> IO ()
finalize (Heap _ weak) = IO $ \s -> case finalizeWeak# weak s of (# s', _, _ #) -> (# s', () #)

-- | A heap while the action runs; deleted then, so that foreign pointers into it live on.
withHeapEach :: String -> Int -> CInt -> (Heap s -> IO a) -> IO a
withHeapEach name tag arena act = do
  heap@(Heap _ weak) <- newHeapOf name each False mi_cap_heap_delete_finalizer tag arena
  withNewHeap heap act $ do
    p <- readHeap heap
    nobody <- shut heap
    writeHeap heap nullPtr
    when nobody $ disarm weak >>= (`when` mi_cap_heap_delete_safe p)

-- | A heap while the action runs; destroyed then if no foreign pointer into it was made, else when the last
-- one is gone.
withHeapTogether :: String -> Int -> CInt -> (Heap s -> IO a) -> IO a
withHeapTogether name tag arena act = do
  heap <- newHeapTogether name tag arena
  withNewHeap heap act (closeHeap heap)

-- The end may come twice: an exception may come right behind it.
withNewHeap :: Heap s -> (Heap s -> IO a) -> IO () -> IO a
withNewHeap heap act end = do
  cell <- newCell
  IO $ bracketed (Ends ending) cell noBlock (run (act heap >>= \r -> r <$ masked ending))
  where ending = end >> touchHeap heap

-- | Sets its name, which C makes fit.
renameHeap :: String -> Heap s -> String -> IO ()
renameHeap function heap name = do
  bytes_ <- evaluate (Lazy.toStrict (toLazyByteString (stringUtf8 (map plain (take 48 name)))))
  ByteString.useAsCString bytes_ (\s -> usingHeap function heap (`mi_heap_set_name` s))
  where plain c = if c == '\0' then '?' else c

-- | Before much is taken from a heap: it is one that the collector should know of.
weighed :: Int -> IO ()
weighed n = when (n > 65536) $ mi_cap_pressure_look >> relieved
{-# INLINE weighed #-}

-- | Blocks of the heap.
ofHeap :: Heap s -> String -> Source a
ofHeap heap name = Source
  { sourceName = name
  , sourceBytes = \size -> usingHeap name heap $ \p -> mi_cap_heap_malloc p size
  , sourceAligned = \size align -> usingHeap name heap $ \p -> mi_cap_heap_aligned p size align 0 0
  , sourceZeros = \size -> usingHeap name heap $ \p -> mi_cap_heap_zalloc p size
  , sourceAlignedZeros = \size align -> usingHeap name heap $ \p -> mi_cap_heap_aligned p size align 0 1
  , sourceBigZeros = \size align -> usingHeap name heap $ \p -> mi_heap_zalloc_aligned_at_safe p size align 0
  , sourceCollect = \size -> usingHeap name heap $ \p -> mi_cap_pressure_exhausted_safe p size
  }
{-# INLINE ofHeap #-}

-- | A block of the heap as a foreign pointer. One that lives together with others needs no care about
-- asynchronous exceptions: its block is freed with the heap in any case.
newHeapBlock :: String -> Heap s -> (Source a -> IO (Ptr a)) -> IO (ForeignPtr a)
newHeapBlock name heap allocate = do
  life <- readLife heap
  if life /= each then newTogether heap life (allocate (ofHeap heap name)) else do
    relieved
    newBlockInto mi_cap_free_held_finalizer $ \place -> allocate (sourceInto (usingHeap name heap) place name)
{-# INLINE newHeapBlock #-}

newTogether :: Heap s -> Int -> IO (Ptr a) -> IO (ForeignPtr a)
newTogether heap@(Heap key _) life allocate = do
  when (life == together) $ void (changeLife heap togetherMade)
  Ptr p <- allocate
  pure (ForeignPtr p (PlainPtr key))
{-# INLINE newTogether #-}

-- | The same, for any number of bytes: if this is no heap of that kind, if it has ended, if the number is
-- negative or if there is no memory, the short way gives null, and the long way tells which.
newHeapBytes :: String -> Heap s -> Int -> IO (ForeignPtr a)
newHeapBytes name heap@(Heap key _) n = do
  weighed n
  Ptr p <- mi_fast_heap_malloc key (fromIntegral n)
  if Ptr p /= nullPtr then pure (ForeignPtr p (PlainPtr key)) else newHeapBytesSlow name heap n
{-# INLINE newHeapBytes #-}

newHeapBytesSlow :: String -> Heap s -> Int -> IO (ForeignPtr a)
newHeapBytesSlow name heap n = newHeapBlock name heap (\source -> bytes source Whatever n)
{-# NOINLINE newHeapBytesSlow #-}

-- | A heap of blocks that are freed one by one; what is left of them, when it is not reachable any more. The
-- collector does not know how large it is: it could not bring back what is freed one by one.
newHeapOfBlocks :: String -> IO (Heap s)
newHeapOfBlocks name = do
  heap <- newHeapOf name together False mi_cap_heap_destroy_finalizer 0 0
  heap <$ changeLife heap togetherMade

-- | A block of such a heap.
heapBlock :: String -> Heap s -> Int -> IO (Ptr a)
heapBlock name heap@(Heap key _) n = do
  p <- mi_fast_heap_malloc key (fromIntegral n)
  if p == nullPtr then bytes (ofHeap heap name) Whatever n else pure p
{-# INLINE heapBlock #-}

-- | The same for bytes that nobody frees, resizes or asks about. In a heap whose pointers live together small
-- ones lie one behind the other, not aligned.
newHeapPacked :: String -> Heap s -> Int -> IO (ForeignPtr a)
newHeapPacked name heap@(Heap key _) n = do
  life <- readLife heap
  if life == each then newHeapBytesSlow name heap n else newTogether heap life $
    orNoMemoryIn (sourceCollect (ofHeap heap name)) name n $
      usingHeap name heap $ \p -> mi_cap_heap_pack p (fromIntegral n) key
{-# INLINE newHeapPacked #-}

-- | A block of the heap while the action runs, which counts as a use of the heap: nobody ends that at once
-- meanwhile.
withHeapBlock :: String -> Heap s -> (Source a -> IO (Ptr a)) -> (Ptr a -> IO b) -> IO b
withHeapBlock name heap allocate act = do
  life <- enter name heap
  r <- withBlockOf (Holding (leave heap life) (if life == each then Nothing else Just (readId heap)))
    (\place -> allocate (sourceInto (inHeap name heap) place name)) act
  r <$ leave heap life
{-# INLINE withHeapBlock #-}
