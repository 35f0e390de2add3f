-- The model and the allocator side by side. A difference is an exception.
module Model.Machine
  ( Machine
  , newMachine
  , step
  , freeBlocks
  , finish
  , newHeap'
  , endHeap'
    -- * Capabilities
  , Worker
  , newWorker
  , endWorker
  , onWorker
  , quietBlocks
  , nothingLeft
  ) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.Bits (shiftR, (.&.))
import Data.IORef
import qualified Data.Map.Strict as Map
import Data.Word (Word64, Word8)
import Foreign.C.Types (CSize)
import Foreign.ForeignPtr (finalizeForeignPtr)
import Foreign.ForeignPtr.Unsafe (unsafeForeignPtrToPtr)
import Foreign.Ptr
import Foreign.Storable
import System.Mem (performGC)

import Mimalloc
import qualified Mimalloc.Internal.FFI as C
import qualified Mimalloc.Stats as Stats
import Model.Steps

-- | What the model knows of a live block: the bytes that were asked for, and that they hold a pattern.
data Block = Block
  { bytesAsked :: !Int
  , heapOf     :: !(Maybe (Ptr MiHeap)) -- ^ 'Nothing': the main one
  , zeroBeyond :: !Bool                 -- ^ allocated as zeros, and resized so: what it grows by is zero
  , seedOf     :: !Word64
  , pointerOf  :: !(Maybe (ForeignPtr Word8))
  }

data Machine = Machine
  { blocks :: !(IORef (Map.Map (Ptr Word8) Block))
  , heaps  :: !(IORef [Ptr MiHeap])
  , shared :: ![Ptr MiHeap]              -- ^ used by others too, so neither ended nor visited here
  , seeds  :: !(IORef Word64)
  }

newMachine :: [Ptr MiHeap] -> IO Machine
newMachine common = Machine <$> newIORef Map.empty <*> newIORef [] <*> pure common <*> newIORef 1

newHeap' :: IO (Ptr MiHeap)
newHeap' = mi_heap_new >>= \h -> h <$ expect "a new heap is null" (h /= nullPtr)

endHeap' :: Ptr MiHeap -> IO ()
endHeap' = mi_heap_delete

expect :: String -> Bool -> IO ()
expect what ok = unless ok (throwIO (userError what))

-- ---- the pattern: word k of a block is seed + k * an odd number

fill :: Ptr Word8 -> Word64 -> Int -> IO ()
fill p seed n = go 0
  where
    go i | i + 8 <= n = pokeByteOff p i (patternAt seed i) >> go (i + 8)
         | i < n = pokeByteOff p i (patternByte seed i) >> tailOf (i + 1)
         | otherwise = pure ()
    tailOf i = when (i < n) $ pokeByteOff p i (patternByte seed i) >> tailOf (i + 1)

patternAt :: Word64 -> Int -> Word64
patternAt seed i = seed * 0x9e3779b97f4a7c15 + fromIntegral (i `shiftR` 3) * 0xd1342543de82ef95

patternByte :: Word64 -> Int -> Word8
patternByte seed i = fromIntegral (patternAt seed i `shiftR` (8 * (i .&. 7)))

holdsPattern :: Ptr Word8 -> Word64 -> Int -> IO Bool
holdsPattern p seed n = go 0
  where
    go i | i + 8 <= n = peekByteOff p i >>= \w -> if w == patternAt seed i then go (i + 8) else pure False
         | otherwise = rest i
    rest i | i < n = peekByteOff p i >>= \b -> if b == patternByte seed i then rest (i + 1) else pure False
           | otherwise = pure True

zerosFrom :: Ptr Word8 -> Int -> Int -> IO Bool
zerosFrom p from to = go from
  where
    go i | i + 8 <= to = peekByteOff p i >>= \w -> if w == (0 :: Word64) then go (i + 8) else pure False
         | i < to = peekByteOff p i >>= \b -> if b == (0 :: Word8) then go (i + 1) else pure False
         | otherwise = pure True

-- ---- steps

-- | Does it, and compares.
step :: Machine -> Op -> IO ()
step m op = case op of
  New place way n -> heapAt m place >>= \h -> allocate m h way n
  Free i -> withBlock m i $ \p b -> free' m p b
  Resize i place change n -> heapAt m place >>= \h -> withBlock m i $ \p b -> when (plain b) $
    resize m h p b change n
  Expand i n -> withBlock m i $ \p b -> when (plain b) $ do
    q <- mi_expand p (fromIntegral n)
    if q == nullPtr then check "expand that failed" p b else do
      expect "expand moved the block" (q == p)
      insert m p b { bytesAsked = n, zeroBeyond = zeroBeyond b && n == bytesAsked b } (min n (bytesAsked b))
  Look i -> withBlock m i look
  NewHeap -> newHeap' >>= \h -> modifyIORef' (heaps m) (h :)
  EndHeap i destroy -> withHeap m i $ \h -> endHeap m h destroy
  Collect force -> mi_collect (if force then 1 else 0)
  Visit i -> withHeap m i (visit m)
  Capabilities _ -> pure () -- who runs the machine changes them
  where plain b = maybe True (const False) (pointerOf b)

heapAt :: Machine -> Maybe Int -> IO (Maybe (Ptr MiHeap))
heapAt m place = do
  hs <- (shared m ++) <$> readIORef (heaps m)
  pure $ case place of
    Just i | not (null hs) -> Just (hs !! (i `mod` length hs))
    _ -> Nothing

withHeap :: Machine -> Int -> (Ptr MiHeap -> IO ()) -> IO ()
withHeap m i act = readIORef (heaps m) >>= \hs -> unless (null hs) $ act (hs !! (i `mod` length hs))

withBlock :: Machine -> Int -> (Ptr Word8 -> Block -> IO ()) -> IO ()
withBlock m i act = readIORef (blocks m) >>= \bs -> unless (Map.null bs) $
  uncurry act (Map.elemAt (i `mod` Map.size bs) bs)

-- A live block holds its pattern, and is where and as large as it was.
check :: String -> Ptr Word8 -> Block -> IO ()
check what p b = do
  ok <- holdsPattern p (seedOf b) (bytesAsked b)
  expect (what ++ ": the contents changed, " ++ show (bytesAsked b) ++ " bytes") ok

look :: Ptr Word8 -> Block -> IO ()
look p b = do
  check "look" p b
  usable <- mi_usable_size p
  expect "usable size below what was asked for" (fromIntegral usable >= bytesAsked b)
  main_ <- mi_heap_get_backing
  let h = maybe main_ id (heapOf b)
  mi_heap_of p >>= expect "mi_heap_of" . (== h)
  mi_heap_contains_block h p >>= expect "mi_heap_contains_block" . (== 1)
  mi_heap_check_owned h p >>= expect "mi_heap_check_owned" . (== 1)
  mi_is_in_heap_region p >>= expect "mi_is_in_heap_region" . (== 1)

-- The new block is live from now on, holds its pattern up to what was kept; the rest gets it.
insert :: Machine -> Ptr Word8 -> Block -> Int -> IO ()
insert m p b kept = do
  ok <- holdsPattern p (seedOf b) kept
  expect ("the contents were not kept, " ++ show kept ++ " of " ++ show (bytesAsked b) ++ " bytes") ok
  usable <- mi_usable_size p
  expect "usable size below what was asked for" (fromIntegral usable >= bytesAsked b)
  seed <- atomicModifyIORef' (seeds m) (\s -> (s + 1, s))
  fill p seed (bytesAsked b)
  modifyIORef' (blocks m) (Map.insert p b { seedOf = seed })

disjoint :: Machine -> Ptr Word8 -> Int -> IO ()
disjoint m p n = do
  bs <- readIORef (blocks m)
  let end q k = q `plusPtr` max 1 k
  expect "the block overlaps the one below" $
    maybe True (\(q, b) -> end q (bytesAsked b) <= p) (Map.lookupLE p bs)
  expect "the block overlaps the one above" $ maybe True (\(q, _) -> end p n <= q) (Map.lookupGT p bs)

aligned :: Ptr Word8 -> Int -> Int -> Bool
aligned p power offset = ptrToWordPtr (p `plusPtr` offset) `mod` (2 ^ power) == 0

allocate :: Machine -> Maybe (Ptr MiHeap) -> Way -> Int -> IO ()
allocate m heap way n0 = do
  let c = fromIntegral :: Int -> CSize
      on main_ other = maybe main_ other heap
      raw p = pure (p, Nothing, heap)
      foreign_ make = make >>= \fp -> pure (unsafeForeignPtrToPtr fp, Just fp, Nothing)
      n = case way of { Array k -> n0 * k; ZeroArray k -> n0 * k;
                        ZeroArrayAt k _ _ -> n0 * k; Small -> n0 `mod` 1025; _ -> n0 }
      size = c n
      zero = case way of { Zero -> True; Thread -> True; ZeroArray _ -> True;
                           ZeroAt _ _ -> True; ZeroArrayAt {} -> True; ZeroPointer -> True; _ -> False }
      alignment_ = case way of { At a o -> (a, o); ZeroAt a o -> (a, o);
                                 ZeroArrayAt _ a o -> (a, o); Pointer a -> (a, 0); _ -> (4, 0) }
      pow a = c (2 ^ a)
  (p, fp, h) <- case way of
    Plain -> on (mi_malloc size) (`mi_heap_malloc` size) >>= raw
    Small -> on (mi_malloc_small size) (`mi_heap_malloc_small` size) >>= raw
    Thread -> C.mi_zalloc_safe size >>= \p -> pure (p, Nothing, Nothing)
    Zero -> on (mi_zalloc size) (`mi_heap_zalloc` size) >>= raw
    Array k -> on (mi_mallocn (c n0) (c k)) (\g -> mi_heap_mallocn g (c n0) (c k)) >>= raw
    ZeroArray k -> on (mi_calloc (c n0) (c k)) (\g -> mi_heap_calloc g (c n0) (c k)) >>= raw
    At a o -> on (mi_malloc_aligned_at size (pow a) (c o))
      (\g -> mi_heap_malloc_aligned_at g size (pow a) (c o)) >>= raw
    ZeroAt a o -> on (mi_zalloc_aligned_at size (pow a) (c o))
      (\g -> mi_heap_zalloc_aligned_at g size (pow a) (c o)) >>= raw
    ZeroArrayAt k a o -> on (mi_calloc_aligned_at (c n0) (c k) (pow a) (c o))
      (\g -> mi_heap_calloc_aligned_at g (c n0) (c k) (pow a) (c o)) >>= raw
    Pointer a -> foreign_ (mallocForeignPtrAlignedBytes n (2 ^ a))
    ZeroPointer -> foreign_ (zallocForeignPtrBytes n)
  expect "a new block is null" (p /= nullPtr)
  expect ("not aligned: " ++ show way) (uncurry (aligned p) alignment_)
  disjoint m p n
  when zero $ zerosFrom p 0 n >>= expect ("not zeros: " ++ show way ++ ", " ++ show n)
  insert m p (Block n h zero 0 fp) 0

resize :: Machine -> Maybe (Ptr MiHeap) -> Ptr Word8 -> Block -> Change -> Int -> IO ()
resize m heap p b change0 n0 = do
  let c = fromIntegral :: Int -> CSize
      on main_ other = maybe main_ other heap
      change | zeroBeyond b = change0
             | otherwise = case change0 of { Rezero -> Re; RezeroArray k -> ReArray k;
                                             RezeroAt a o -> ReAt a o; _ -> change0 }
      zero = case change of { Rezero -> True; RezeroArray _ -> True; RezeroAt _ _ -> True; _ -> False }
      n = case change of { ReArray k -> n0 * k; RezeroArray k -> n0 * k; _ -> n0 }
      size = c n
      pow a = c (2 ^ a)
  check "before resizing" p b
  q <- case change of
    Re -> on (mi_realloc p size) (\g -> mi_heap_realloc g p size)
    ReThread -> C.mi_resize_safe p size 0 0 0
    ReArray k -> on (mi_reallocn p (c n0) (c k)) (\g -> mi_heap_reallocn g p (c n0) (c k))
    ReOrFree -> on (mi_reallocf p size) (\g -> mi_heap_reallocf g p size)
    ReAt a o -> on (mi_realloc_aligned_at p size (pow a) (c o)) (\g ->
      mi_heap_realloc_aligned_at g p size (pow a) (c o))
    Rezero -> on (mi_rezalloc p size) (\g -> mi_heap_rezalloc g p size)
    RezeroArray k -> on (mi_recalloc p (c n0) (c k)) (\g -> mi_heap_recalloc g p (c n0) (c k))
    RezeroAt a o -> on (mi_rezalloc_aligned_at p size (pow a) (c o)) (\g ->
      mi_heap_rezalloc_aligned_at g p size (pow a) (c o))
  expect "a resized block is null" (q /= nullPtr)
  case change of
    ReAt a o -> expect "not aligned" (aligned q a o)
    RezeroAt a o -> expect "not aligned" (aligned q a o)
    _ -> expect "not aligned" (q == p || aligned q 4 0)
  modifyIORef' (blocks m) (Map.delete p)
  disjoint m q n
  when zero $ zerosFrom q (bytesAsked b) n
    >>= expect ("not zeros beyond " ++ show (bytesAsked b) ++ " of " ++ show n)
  -- Where it was if it stayed; in the heap that was named, or remapped, if it moved.
  now <- mi_heap_of q
  main_ <- mi_heap_get_backing
  let here = maybe main_ id (heapOf b)
      there = case change of { ReThread -> main_; _ -> maybe main_ id heap }
  expect "in another heap" (now == here || (q /= p && now == there))
  insert m q b { bytesAsked = n, heapOf = if now == main_ then Nothing else Just now, zeroBeyond = zero }
    (min n (bytesAsked b))

free' :: Machine -> Ptr Word8 -> Block -> IO ()
free' m p b = do
  check "before it is freed" p b
  modifyIORef' (blocks m) (Map.delete p)
  maybe (mi_free p) finalizeForeignPtr (pointerOf b)

endHeap :: Machine -> Ptr MiHeap -> Bool -> IO ()
endHeap m h destroy = do
  modifyIORef' (heaps m) (filter (/= h))
  (its, others) <- Map.partition ((== Just h) . heapOf) <$> readIORef (blocks m)
  mapM_ (uncurry (check "before the heap ends")) (Map.toList its)
  if destroy then mi_heap_destroy h >> writeIORef (blocks m) others else do
    mi_heap_delete h
    writeIORef (blocks m) (Map.union others (fmap (\b -> b { heapOf = Nothing }) its))
    mapM_ (uncurry look) (Map.toList (fmap (\b -> b { heapOf = Nothing }) its))

-- The live blocks of the heap are the model's: as many, and each of these lies in one of those.
visit :: Machine -> Ptr MiHeap -> IO ()
visit m h = do
  seen <- newIORef Map.empty
  done <- visitHeapBlocks h True $ \g _ p n ->
    True <$ when (g == h && p /= nullPtr) (modifyIORef' seen (Map.insert (castPtr p) (fromIntegral n)))
  expect "the visit ended early" done
  starts <- readIORef seen
  its <- Map.filter ((== Just h) . heapOf) <$> readIORef (blocks m)
  expect ("visited " ++ show (Map.size starts) ++ " blocks of " ++ show (Map.size its))
    (Map.size starts == Map.size its)
  forM_ (Map.toList its) $ \(p, b) -> expect "a block was not visited" $
    maybe False (\(q, n) -> p `plusPtr` bytesAsked b <= q `plusPtr` (n :: Int)) (Map.lookupLE p starts)

-- | Frees what there is, from wherever this is run.
freeBlocks :: Machine -> IO ()
freeBlocks m = readIORef (blocks m) >>= mapM_ (uncurry (free' m)) . Map.toList

-- | The same, and its heaps.
finish :: Machine -> IO ()
finish m = freeBlocks m >> readIORef (heaps m) >>= mapM_ mi_heap_delete >> writeIORef (heaps m) []

-- ---- capabilities

-- | A thread that stays on one.
newtype Worker = Worker (MVar (IO ()))

newWorker :: Int -> IO Worker
newWorker c = do
  box <- newEmptyMVar
  _ <- forkOn c (forever (join (takeMVar box)))
  pure (Worker box)

onWorker :: Worker -> IO a -> IO a
onWorker (Worker box) act = do
  result <- newEmptyMVar
  putMVar box (try act >>= putMVar result)
  takeMVar result >>= either (throwIO :: SomeException -> IO a) pure

-- | When it has done what it was given.
endWorker :: Worker -> IO ()
endWorker (Worker box) = putMVar box (myThreadId >>= killThread)

-- | Blocks in use, when all heaps have taken in what was freed.
quietBlocks :: [Worker] -> IO Int
quietBlocks workers = do
  mapM_ (`onWorker` mi_collect 1) workers
  fst <$> Stats.liveBlocks

-- | No more than there were. A failed test before leaves its blocks to the next one's count.
nothingLeft :: [Worker] -> Int -> IO ()
nothingLeft workers before = go (1000 :: Int)
  where
    go tries = do
      after <- quietBlocks workers
      if after <= before then pure () else do
        expect ("blocks left: " ++ show (after - before)) (tries > 0)
        performGC >> threadDelay 500 >> go (tries - 1)
