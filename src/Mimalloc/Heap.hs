{-# LANGUAGE RankNTypes #-}
-- |
-- Heaps of your own: blocks that belong together, and end together.
--
-- Three kinds, which differ in how they end:
--
-- [@'withHeap'@, @'withHeapInArena'@, @'withHeapEx' tag False@] A bracket. At its end the heap is /deleted/:
--   what is still live moves to the main heap. So a 'ForeignPtr' that escapes stays valid; each has a
--   finalizer of its own.
-- [@'withHeapEx' tag True@] A bracket whose heap is /destroyed/, all blocks at once, whether freed or not.
--   Its foreign pointers have no finalizers. If none was made, the heap is destroyed when the bracket ends;
--   else when the last of them is gone, so that one that escapes stays valid here, too, and keeps all the
--   others' blocks.
-- [@'newHeap'@] No bracket: the garbage collector owns the heap and destroys it, with one finalizer, when
--   neither the heap nor any foreign pointer into it is reachable. Thousands of blocks cost one weak pointer,
--   where "Mimalloc" has one each. "Mimalloc.Region" has all that is for these.
--
-- Common to all functions of this module:
--
-- * A heap may be used from any Haskell thread and capability, by many at once. Its blocks are used, resized
--   and freed like all others, by anybody; only what 'Mimalloc.ByteString.heapCopy' packs is no block.
-- * Bytes, elements, alignments (16 bytes, and the type's where that is more) and exceptions are as in
--   "Mimalloc". No asynchronous exception leaks a block or a heap.
-- * A plain pointer ('Ptr') from @withHeapMalloc…@ must not be used after its bracket.
-- * A heap cannot be used after its bracket. The type parameter keeps it from being returned; a thread that
--   outlives the bracket gets an illegal operation ('System.IO.Error.isIllegalOperation'). If it uses the
--   heap at the very moment in which the bracket ends, or has a block of @withHeapMalloc…@ then, the heap
--   goes with a garbage collection.
-- * Brackets may stand in pure code, as those of "Mimalloc". If one is interrupted there, and nobody asks for
--   the value again, the collector frees its block while the heap lives on; and the heap, when it ends, goes
--   with a garbage collection. If its heap was ended by 'unsafeEndHeap', who asks for the value gets an
--   illegal operation.
-- * A /Haskell/ finalizer (@mkWeakIORef@) must not use a heap, or a block of it, that may die together with
--   what the finalizer belongs to: the collector has ended the heap then. Something else, such as a global
--   variable, has to hold the heap.
-- * In heaps whose foreign pointers have no finalizers, 'Foreign.ForeignPtr.finalizeForeignPtr' does nothing,
--   and no other finalizer can be added, as with base's @mallocPlainForeignPtrBytes@. Compact regions
--   ("GHC.Compact") take no foreign pointer, byte string or vector of this package, as they take none of
--   base's.
--
-- >>> import Foreign (ForeignPtr, peek, poke, withForeignPtr)
-- >>> import Mimalloc.Heap
-- >>> escaped <- withHeap $ \heap -> heapMallocForeignPtr heap :: IO (ForeignPtr Int)
-- >>> withForeignPtr escaped $ \p -> poke p 42 >> peek p
-- 42
--
-- @since 0.1.0.0
module Mimalloc.Heap
  ( -- * Heaps
    Heap
  , withHeap
  , withHeapEx
  , withHeapInArena
  , MiArenaId
    -- ** The garbage collector's
  , GCHeap
  , newHeap
  , newHeapInArena
  , newNamedHeap
  , endHeap
  , unsafeEndHeap
    -- ** Names
  , nameHeap
    -- * Foreign pointers
  , heapMallocForeignPtr
  , heapMallocForeignPtrBytes
  , heapMallocForeignPtrArray
  , heapMallocForeignPtrAligned
  , heapMallocForeignPtrAlignedBytes
  , heapCallocForeignPtr
  , heapCallocForeignPtrArray
  , heapZallocForeignPtrBytes
    -- * Brackets
  , withHeapMalloc
  , withHeapMallocBytes
  , withHeapMallocArray
  , withHeapMallocAligned
  , withHeapMallocAlignedBytes
  , withHeapCalloc
  , withHeapCallocArray
  , withHeapZallocBytes
    -- * The heap as a whole
  , heapCollect
  , heapContainsBlock
  , heapCheckOwned
    -- * What the examples import
    -- $setup
  ) where

import Control.Monad.ST (RealWorld)
import Data.Word (Word8)
import Foreign.ForeignPtr (ForeignPtr)
import Foreign.Ptr (Ptr)
import Foreign.Storable (Storable)

import Mimalloc.Internal.Alloc
import Mimalloc.Internal.FFI
import Mimalloc.Internal.Heap
import Mimalloc.Primitive.Heap (MiArenaId)

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> import Mimalloc.Heap
-- >>> import Foreign (ForeignPtr, peek, peekArray, plusPtr, poke, pokeArray, ptrToWordPtr, withForeignPtr)
-- >>> import Mimalloc (usableSize, withMallocBytes)
-- >>> import Mimalloc.Stats (Stats (..), getStats)

-- | A heap while the action runs, deleted at its end, also by an exception. Throws for want of memory.
--
-- >>> withHeap $ \heap -> withHeapMallocBytes heap 100 $ \p -> heapContainsBlock heap p
-- True
--
-- @since 0.1.0.0
withHeap :: (forall s. Heap s -> IO a) -> IO a
withHeap act = withHeapEach "withHeap" 0 0 act

-- | A heap with a tag, which visitors see ('Mimalloc.Primitive.Heap.mi_heap_visit_blocks'); destroyed at the
-- end if so asked, else deleted; from one arena, or from any (0). An invalid argument if there is no such
-- arena, or if the tag is no C @int@.
--
-- What destroying means for foreign pointers stands above. Plain pointers end with their brackets anyway.
--
-- >>> kept <- withHeapEx 7 True 0 $ \heap -> mapM (heapMallocForeignPtrBytes heap) [1 .. 1000]
-- >>> withForeignPtr (last kept) $ \p -> poke p 1 >> peek p
-- 1
-- >>> withHeapEx 0 True 1234 $ \_ -> pure ()
-- *** Exception: withHeapEx: invalid argument (no arena 1234)
--
-- @since 0.1.0.0
withHeapEx :: Int -> Bool -> MiArenaId -> (forall s. Heap s -> IO a) -> IO a
withHeapEx tag destroy arena act
  | destroy = withHeapTogether "withHeapEx" tag arena act
  | otherwise = withHeapEach "withHeapEx" tag arena act

-- | A heap whose memory comes from that arena alone; otherwise as 'withHeap'. Requests that the arena has no
-- room for fail for want of memory.
--
-- >>> withHeapInArena 0 $ \heap -> withHeapCalloc heap peek :: IO Int
-- 0
--
-- @since 0.1.0.0
withHeapInArena :: MiArenaId -> (forall s. Heap s -> IO a) -> IO a
withHeapInArena arena act = withHeapEach "withHeapInArena" 0 arena act

-- | A heap that the garbage collector owns. It belongs to no bracket.
--
-- @since 0.1.0.0
type GCHeap = Heap RealWorld

-- | A new heap that the garbage collector destroys when neither it nor a foreign pointer into it is
-- reachable. Its foreign pointers cost no finalizer each, are as fast to make as base's
-- @mallocForeignPtrBytes@, and free nothing one by one: one that is reachable keeps all. So it is for blocks
-- that are let go together: a parsed document, a request, a generation of a cache.
--
-- GHC sees 4 KiB of it; its pages are counted, and collections are asked for because of them
-- ("Mimalloc.Pressure"). Who knows when it ends can say so: 'endHeap', 'unsafeEndHeap'. Destroying takes time
-- in proportion to its pages (64 KiB and more each).
--
-- >>> heap <- newHeap
-- >>> blocks <- mapM (heapMallocForeignPtrBytes heap) [1 .. 10000]
-- >>> length blocks
-- 10000
--
-- @since 0.1.0.0
newHeap :: IO GCHeap
newHeap = newHeapTogether "newHeap" 0 0

-- | The same from one arena. An invalid argument if there is no such arena.
--
-- >>> heap <- newHeapInArena 0
-- >>> p <- heapZallocForeignPtrBytes heap 100
-- >>> withForeignPtr p peek
-- 0
--
-- @since 0.1.0.0
newHeapInArena :: MiArenaId -> IO GCHeap
newHeapInArena arena = newHeapTogether "newHeapInArena" 0 arena

-- | 'newHeap' with a name ('nameHeap').
--
-- >>> cache <- newNamedHeap "cache"
-- >>> p <- heapMallocForeignPtrBytes cache 1000
-- >>> names <- map snd . statsHeapNames <$> getStats
-- >>> ("cache" `elem` names) <$ withForeignPtr p (`poke` 1)
-- True
--
-- @since 0.1.0.0
newNamedHeap :: String -> IO GCHeap
newNamedHeap name = do
  heap <- newHeapTogether "newNamedHeap" 0 0
  heap <$ renameHeap "newNamedHeap" heap name

-- | What statistics and metrics call the heap from now on; several may have one name, which metrics sum up.
-- Of its UTF-8 at most 47 bytes are kept, whole characters; control characters, quotes and backslashes become
-- question marks. The empty name is none. For heaps of any kind; in one that has ended an illegal operation.
--
-- >>> let names = map snd . statsHeapNames <$> getStats
-- >>> found <- withHeap $ \h -> nameHeap h "requests" >> withHeapMallocBytes h 10 (const names)
-- >>> "requests" `elem` found
-- True
--
-- @since 0.1.0.0
nameHeap :: Heap s -> String -> IO ()
nameHeap = renameHeap "nameHeap"

-- | Nothing more is taken from the heap: who tries gets an illegal operation. What was taken stays valid. All
-- of it goes when neither the heap nor a foreign pointer into it is reachable any more; at once, if no
-- foreign pointer was made and nobody is in a bracket, or was interrupted in one in pure code. Ending it
-- twice is nothing.
--
-- >>> heap <- newHeap
-- >>> endHeap heap
-- >>> p <- heapMallocForeignPtrBytes heap 10
-- *** Exception: heapMallocForeignPtrBytes: illegal operation (the heap has ended)
--
-- @since 0.1.0.0
endHeap :: GCHeap -> IO ()
endHeap = closeHeap

-- | Destroys the heap with all its blocks, now. Foreign pointers, byte strings and vectors that lie in it
-- must not be used afterwards, nor the heap by another thread meanwhile. Later uses of the heap itself are an
-- illegal operation. Ending it twice is nothing.
--
-- >>> heap <- newHeap
-- >>> p <- heapMallocForeignPtrBytes heap 1000000
-- >>> withForeignPtr p (`poke` 120)
-- >>> unsafeEndHeap heap
--
-- @since 0.1.0.0
unsafeEndHeap :: GCHeap -> IO ()
unsafeEndHeap = destroyHeap

-- | A block of the heap for one value, its bytes as they are.
--
-- >>> p <- withHeap heapMallocForeignPtr :: IO (ForeignPtr Double)
-- >>> withForeignPtr p $ \q -> poke q 0.5 >> peek q
-- 0.5
--
-- @since 0.1.0.0
heapMallocForeignPtr :: Storable a => Heap s -> IO (ForeignPtr a)
heapMallocForeignPtr heap = newHeapBlock "heapMallocForeignPtr" heap (\source -> one source Whatever 1)
{-# INLINE heapMallocForeignPtr #-}

-- | A block of the heap of so many bytes.
--
-- >>> p <- withHeap $ \heap -> heapMallocForeignPtrBytes heap 100
-- >>> withForeignPtr p usableSize
-- 112
--
-- @since 0.1.0.0
heapMallocForeignPtrBytes :: Heap s -> Int -> IO (ForeignPtr Word8)
heapMallocForeignPtrBytes = newHeapBytes "heapMallocForeignPtrBytes"
{-# INLINE heapMallocForeignPtrBytes #-}

-- | A block of the heap for so many elements.
--
-- >>> p <- withHeap $ \heap -> heapMallocForeignPtrArray heap 3 :: IO (ForeignPtr Int)
-- >>> withForeignPtr p $ \q -> pokeArray q [1, 2, 3] >> sum <$> peekArray 3 q
-- 6
--
-- @since 0.1.0.0
heapMallocForeignPtrArray :: Storable a => Heap s -> Int -> IO (ForeignPtr a)
heapMallocForeignPtrArray heap n =
  newHeapBlock "heapMallocForeignPtrArray" heap (\source -> many source Whatever n)
{-# INLINE heapMallocForeignPtrArray #-}

-- | A block of the heap for one value, at the given alignment (in bytes) or its type's, whichever is more.
--
-- >>> p <- withHeap $ \heap -> heapMallocForeignPtrAligned heap 64 :: IO (ForeignPtr Int)
-- >>> withForeignPtr p $ \q -> pure (ptrToWordPtr q `mod` 64 == 0)
-- True
--
-- @since 0.1.0.0
heapMallocForeignPtrAligned :: Storable a => Heap s -> Int -> IO (ForeignPtr a)
heapMallocForeignPtrAligned heap align =
  newHeapBlock "heapMallocForeignPtrAligned" heap (\source -> one source Whatever align)
{-# INLINE heapMallocForeignPtrAligned #-}

-- | A block of the heap of so many bytes (second argument) at the alignment in bytes (third argument).
--
-- >>> p <- withHeap $ \heap -> heapMallocForeignPtrAlignedBytes heap 8192 4096
-- >>> withForeignPtr p $ \q -> pure (ptrToWordPtr q `mod` 4096 == 0)
-- True
--
-- @since 0.1.0.0
heapMallocForeignPtrAlignedBytes :: Heap s -> Int -> Int -> IO (ForeignPtr Word8)
heapMallocForeignPtrAlignedBytes heap n align =
  newHeapBlock "heapMallocForeignPtrAlignedBytes" heap (\source -> alignedBytes source Whatever n align)
{-# INLINE heapMallocForeignPtrAlignedBytes #-}

-- | A block of the heap for one value, all bytes of it 0.
--
-- >>> p <- withHeap heapCallocForeignPtr :: IO (ForeignPtr Int)
-- >>> withForeignPtr p peek
-- 0
--
-- @since 0.1.0.0
heapCallocForeignPtr :: Storable a => Heap s -> IO (ForeignPtr a)
heapCallocForeignPtr heap = newHeapBlock "heapCallocForeignPtr" heap (\source -> one source Zeros 1)
{-# INLINE heapCallocForeignPtr #-}

-- | A block of the heap for so many elements, all bytes of it 0.
--
-- >>> p <- withHeap $ \heap -> heapCallocForeignPtrArray heap 4 :: IO (ForeignPtr Int)
-- >>> withForeignPtr p (peekArray 4)
-- [0,0,0,0]
--
-- @since 0.1.0.0
heapCallocForeignPtrArray :: Storable a => Heap s -> Int -> IO (ForeignPtr a)
heapCallocForeignPtrArray heap n =
  newHeapBlock "heapCallocForeignPtrArray" heap (\source -> many source Zeros n)
{-# INLINE heapCallocForeignPtrArray #-}

-- | A block of the heap of so many bytes, all of them 0.
--
-- >>> p <- withHeap $ \heap -> heapZallocForeignPtrBytes heap 4
-- >>> withForeignPtr p (peekArray 4)
-- [0,0,0,0]
--
-- @since 0.1.0.0
heapZallocForeignPtrBytes :: Heap s -> Int -> IO (ForeignPtr Word8)
heapZallocForeignPtrBytes heap n =
  newHeapBlock "heapZallocForeignPtrBytes" heap (\source -> bytes source Zeros n)
{-# INLINE heapZallocForeignPtrBytes #-}

-- | A block of the heap for one value while the action runs.
--
-- >>> withHeap $ \heap -> withHeapMalloc heap $ \p -> poke p (100 :: Int) >> peek p
-- 100
--
-- @since 0.1.0.0
withHeapMalloc :: Storable a => Heap s -> (Ptr a -> IO b) -> IO b
withHeapMalloc heap = withHeapBlock "withHeapMalloc" heap (\source -> one source Whatever 1)
{-# INLINE withHeapMalloc #-}

-- | A block of the heap of so many bytes while the action runs.
--
-- >>> withHeap $ \heap -> withHeapMallocBytes heap 3 $ \p -> pokeArray p [7, 8, 9] >> peekArray 3 p
-- [7,8,9]
--
-- @since 0.1.0.0
withHeapMallocBytes :: Heap s -> Int -> (Ptr Word8 -> IO b) -> IO b
withHeapMallocBytes heap n = withHeapBlock "withHeapMallocBytes" heap (\source -> bytes source Whatever n)
{-# INLINE withHeapMallocBytes #-}

-- | A block of the heap for so many elements while the action runs.
--
-- >>> withHeap $ \heap -> withHeapMallocArray heap 3 $ \p -> pokeArray p [7, 8, 9 :: Int] >> peekArray 3 p
-- [7,8,9]
--
-- @since 0.1.0.0
withHeapMallocArray :: Storable a => Heap s -> Int -> (Ptr a -> IO b) -> IO b
withHeapMallocArray heap n = withHeapBlock "withHeapMallocArray" heap (\source -> many source Whatever n)
{-# INLINE withHeapMallocArray #-}

-- | A block of the heap for one value, at the given alignment (in bytes) or its type's, whichever is more,
-- while the action runs.
--
-- >>> aligned p = ptrToWordPtr p `mod` 4096 == 0
-- >>> withHeap $ \heap -> withHeapMallocAligned heap 4096 $ \p -> poke p 'x' >> pure (aligned p)
-- True
--
-- @since 0.1.0.0
withHeapMallocAligned :: Storable a => Heap s -> Int -> (Ptr a -> IO b) -> IO b
withHeapMallocAligned heap align =
  withHeapBlock "withHeapMallocAligned" heap (\source -> one source Whatever align)
{-# INLINE withHeapMallocAligned #-}

-- | A block of the heap of so many bytes (second argument) at the alignment in bytes (third argument) while
-- the action runs.
--
-- >>> withHeap $ \heap -> withHeapMallocAlignedBytes heap 100 32 $ \p -> pure (ptrToWordPtr p `mod` 32 == 0)
-- True
--
-- @since 0.1.0.0
withHeapMallocAlignedBytes :: Heap s -> Int -> Int -> (Ptr Word8 -> IO b) -> IO b
withHeapMallocAlignedBytes heap n align =
  withHeapBlock "withHeapMallocAlignedBytes" heap (\source -> alignedBytes source Whatever n align)
{-# INLINE withHeapMallocAlignedBytes #-}

-- | A block of the heap for one value, all bytes of it 0, while the action runs.
--
-- >>> withHeap $ \heap -> withHeapCalloc heap peek :: IO Int
-- 0
--
-- @since 0.1.0.0
withHeapCalloc :: Storable a => Heap s -> (Ptr a -> IO b) -> IO b
withHeapCalloc heap = withHeapBlock "withHeapCalloc" heap (\source -> one source Zeros 1)
{-# INLINE withHeapCalloc #-}

-- | A block of the heap for so many elements, all bytes of it 0, while the action runs.
--
-- >>> withHeap $ \heap -> withHeapCallocArray heap 3 $ \p -> peekArray 3 p :: IO [Int]
-- [0,0,0]
--
-- @since 0.1.0.0
withHeapCallocArray :: Storable a => Heap s -> Int -> (Ptr a -> IO b) -> IO b
withHeapCallocArray heap n = withHeapBlock "withHeapCallocArray" heap (\source -> many source Zeros n)
{-# INLINE withHeapCallocArray #-}

-- | A block of the heap of so many bytes, all of them 0, while the action runs.
--
-- >>> withHeap $ \heap -> withHeapZallocBytes heap 3 (peekArray 3)
-- [0,0,0]
--
-- @since 0.1.0.0
withHeapZallocBytes :: Heap s -> Int -> (Ptr Word8 -> IO b) -> IO b
withHeapZallocBytes heap n = withHeapBlock "withHeapZallocBytes" heap (\source -> bytes source Zeros n)
{-# INLINE withHeapZallocBytes #-}

-- | Takes in what others freed of the heap's pages that the capability one is on holds, and gives empty ones
-- back; 'True': all of them. It never needs to be called.
--
-- >>> withHeap $ \heap -> heapCollect heap True
--
-- @since 0.1.0.0
heapCollect :: Heap s -> Bool -> IO ()
heapCollect heap force = usingHeap "heapCollect" heap $ \p -> mi_cap_heap_collect p (bool force)

-- | Whether this is a live block of the heap: a pointer that an allocation returned. Any other pointer may be
-- asked about.
--
-- >>> withHeap $ \heap -> withMallocBytes 10 (heapContainsBlock heap)
-- False
--
-- @since 0.1.0.0
heapContainsBlock :: Heap s -> Ptr a -> IO Bool
heapContainsBlock heap q = usingHeap "heapContainsBlock" heap $ \p -> (/= 0) <$> mi_heap_contains_block p q

-- | Whether the address, any address, lies in a page of the heap.
--
-- >>> withHeap $ \heap -> withHeapMallocBytes heap 10 $ \p -> heapCheckOwned heap (p `plusPtr` 5)
-- True
--
-- @since 0.1.0.0
heapCheckOwned :: Heap s -> Ptr a -> IO Bool
heapCheckOwned heap q = usingHeap "heapCheckOwned" heap $ \p -> (/= 0) <$> mi_heap_check_owned p q
