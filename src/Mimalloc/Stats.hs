{-# LANGUAGE DeriveAnyClass #-}
{-# LANGUAGE DeriveGeneric #-}
-- |
-- What the allocator holds: of the process, of each heap, owner and size class, of each capability.
--
-- All functions may be called from any thread. Taking statistics stops nobody and slows nobody down: pages
-- are read one after the other while everybody goes on. So they are exact while nobody allocates or frees,
-- and else a recent value for each page. /Bytes/ of blocks are bytes that they can hold, which is a little
-- more than was asked for. A /gauge/ says how much there is now; a /counter/ how much there has been since
-- the start, or since 'resetStats' where that says so.
--
-- There is no peak of live bytes: nobody counts them when a block is taken or given back, which is why that
-- is fast; they are added up when statistics are taken. The peaks there are, of committed and of resident
-- bytes, say what memory was needed.
--
-- @since 0.1.0.0
module Mimalloc.Stats
  ( -- * Everything in one go
    Stats (..)
  , Gauges (..)
  , Counters (..)
  , Usage (..)
  , SizeClass (..)
  , Owner (..)
  , HeapId (..)
  , getStats
  , statsJson
  , printStats
  , resetStats
  , mergeStats
    -- * One heap
  , HeapContent (..)
  , heapContents
  , mainContents
  , printHeap
  , printMainHeap
    -- * Capabilities
  , CapabilityStats (..)
  , capabilityStats
    -- * Arenas
  , ArenaRun (..)
  , ArenaUse (..)
  , getArenas
  , arenaMap
    -- * The process
  , liveBlocks
  , ProcessInfo (..)
  , getProcessInfo
    -- * Giving memory back
  , collect
  , collectForce
    -- * Version
  , getMimallocVersion
  , mimallocVersion
    -- * What the examples import
    -- $setup
  ) where

import Control.Concurrent (forkOn, getNumCapabilities, newEmptyMVar, putMVar, takeMVar)
import Control.DeepSeq (NFData)
import Control.Monad (foldM, forM_)
import Data.Bits ((.&.))
import Data.ByteString (ByteString)
import Data.Char (chr)
import Data.List (sortOn)
import Data.Word (Word64, Word8)
import Foreign.Marshal.Array (advancePtr, allocaArray, peekArray0)
import Foreign.Ptr (Ptr, castPtr, nullPtr)
import Foreign.Storable (peekElemOff)
import GHC.Generics (Generic)
import System.IO.Unsafe (unsafePerformIO)

import Mimalloc.Internal.Alloc (masked, orExhausted)
import Mimalloc.Internal.Bytes (packCString)
import Mimalloc.Internal.Capabilities
import Mimalloc.Internal.FFI
import Mimalloc.Internal.Heap (Heap, usingHeap)
import Mimalloc.Internal.Numbers
import Mimalloc.Internal.Resident
import Mimalloc.Primitive.Heap (MiArenaId)

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> import Mimalloc.Stats
-- >>> import Mimalloc
-- >>> import Mimalloc.Heap
-- >>> import qualified Data.ByteString.Char8 as Char8

-- | Everything, from one pass over the pages. Each of the lists adds up to the same pages, but for blocks
-- with a mapping of their own (over half a GiB), which are 'Larger', belong to 'Nobody' and are in no heap.
--
-- @since 0.1.0.0
data Stats = Stats
  { statsGauges      :: !Gauges
  , statsCounters    :: !Counters
  , statsSizeClasses :: [(SizeClass, Usage)] -- ^ ascending
  , statsOwners      :: [(Owner, Usage)]     -- ^ capabilities, and OS threads that allocated in C or in safe
                                             --   calls
  , statsHeaps       :: [(HeapId, Usage)]    -- ^ the main heap first, then in the order they were made
  , statsHeapNames   :: [(HeapId, String)]   -- ^ of those that have one ('Mimalloc.Heap.nameHeap'), in that
                                             --   order
  } deriving (Eq, Show, Generic, NFData)

-- | How much there is now.
--
-- @since 0.1.0.0
data Gauges = Gauges
  { gaugeReservedBytes      :: !Int -- ^ address space
  , gaugeCommittedBytes     :: !Int -- ^ of it, what was handed out since it was last purged
  , gaugePeakCommittedBytes :: !Int -- ^ the most that this was (since 'resetStats')
  , gaugeResidentBytes      :: !Int -- ^ of the whole process, what is in memory, as the system counts it;
                                    --   0 where it does not say (without \/proc, or out of descriptors)
  , gaugePeakResidentBytes  :: !Int -- ^ the most that this was
  , gaugeLiveBytes          :: !Int -- ^ of blocks in use
  , gaugeLiveBlocks         :: !Int -- ^ blocks in use
  , gaugePages              :: !Int -- ^ runs of blocks of one size class
  , gaugeArenas             :: !Int -- ^ large reservations
  , gaugeMappings           :: !Int -- ^ blocks with a mapping of their own
  , gaugeThreads            :: !Int -- ^ OS threads with heaps
  , gaugeCapabilities       :: !Int -- ^ capabilities with heaps
  , gaugeStructureBytes     :: !Int -- ^ of the committed bytes, those that the allocator's own structures
                                    --   occupy
  , gaugeHoleBytes          :: !Int -- ^ of the committed bytes, those given back between live blocks
  , gaugeCommitLimitBytes   :: !Int -- ^ the most that may be committed (@MIMALLOC_COMMIT_LIMIT@); 0: no
                                    --   limit
  } deriving (Eq, Show, Generic, NFData)

-- | How much there has been. Pages and blocks are those of the main heap.
--
-- @since 0.1.0.0
data Counters = Counters
  { counterPurgedBytes       :: !Int -- ^ given back to the system
  , counterFreshPages        :: !Int -- ^ taken new
  , counterAdoptedPages      :: !Int -- ^ taken over from others, or back
  , counterFullPages         :: !Int -- ^ given up because nothing was free in them
  , counterRetiredPages      :: !Int -- ^ given back empty
  , counterRemoteFreedBlocks :: !Int -- ^ freed by others than their page's owner, and taken in by that
  , counterRefusedRequests   :: !Int -- ^ requests for a block that failed because of the commit limit, of all
                                     --   heaps; one that is tried again after a collection is another
  } deriving (Eq, Show, Generic, NFData)

-- | What one size class, owner or heap has now.
--
-- @since 0.1.0.0
data Usage = Usage
  { usagePages      :: !Int -- ^ runs of blocks
  , usageLiveBlocks :: !Int -- ^ blocks in use
  , usageLiveBytes  :: !Int -- ^ bytes of these
  , usagePageBytes  :: !Int -- ^ bytes of the pages
  } deriving (Eq, Show, Generic, NFData)

-- | The size of blocks that have a page together, in bytes; larger ones have a page each.
--
-- @since 0.1.0.0
data SizeClass = BlockBytes !Int | Larger deriving (Eq, Ord, Show, Generic, NFData)

-- | Who may run a heap's fast paths: a capability by its number, or an OS thread by an id that no other
-- living one has. Nobody has pages that are full or wait to be adopted.
--
-- @since 0.1.0.0
data Owner = Nobody | Capability !Int | OSThread !Word64 deriving (Eq, Ord, Show, Generic, NFData)

-- | A heap's number, which is never used twice.
--
-- @since 0.1.0.0
data HeapId = MainHeap | HeapNumber !Int deriving (Eq, Ord, Show, Generic, NFData)

-- | Takes the statistics. A safe call. For want of memory, 'Mimalloc.isResourceExhausted'.
--
-- >>> stats <- withMallocBytes 1000 (const getStats)
-- >>> gaugeLiveBlocks (statsGauges stats) >= 1 && counterFreshPages (statsCounters stats) >= 1
-- True
--
-- @since 0.1.0.0
getStats :: IO Stats
getStats = go 2048
  where
    go room = do
      r <- orExhausted "getStats" 65536 (either (== 0) (const False)) (taken room)
      either (\n -> go (n + 256)) pure r      -- others may come up meanwhile
    -- Or how many words there are; 0: there was no memory for C to count in.
    taken room = allocaArray room $ \p -> do
      n <- fromIntegral <$> mi_stats_words_safe p (fromIntegral room)
      if n <= room && n > 0 then Right <$> (getProcessInfo >>= readStats p n) else pure (Left n)

-- The numbers of totals, classes, owners and heaps; the totals, in the order of C's mi_totals_t (t'Total');
-- five words for each of the others; and, of the so many words that there are, an id and a name for each heap
-- that has one.
readStats :: Ptr Word64 -> Int -> ProcessInfo -> IO Stats
readStats p nwords process = do
  totals <- at 0
  classes <- at 1
  owners <- at 2
  heaps <- at 3
  let total field = at (4 + fromEnum field)
      part i = do
        let place = 4 + totals + 5 * i
        usage <- Usage <$> at (place + 1) <*> at (place + 2) <*> at (place + 3) <*> at (place + 4)
        key <- peekElemOff p place
        pure (key, usage)
      -- The last one first: no stack for as many as there are.
      parts first n = foldM (\rest i -> (: rest) <$> part i) [] [first + n - 1, first + n - 2 .. first]
      theNames = 4 + totals + 5 * (classes + owners + heaps)
      each = 1 + nameWords
      nameAt place = do
        key <- peekElemOff p place
        name <- peekName (castPtr (p `advancePtr` (place + 1)))
        pure (heapOfId key, name)
      named name = map (\(key, usage) -> (name key, usage))
      resident = pure (processInfoCurrentRSS process)
      peak = pure (processInfoPeakRSS process)
  gauges <- Gauges <$> total TotalReservedBytes <*> total TotalCommittedBytes
    <*> total TotalPeakCommittedBytes <*> resident <*> peak
    <*> total TotalUsedBytes <*> total TotalUsedBlocks <*> total TotalPages <*> total TotalArenas
    <*> total TotalMappings <*> total TotalThreads <*> total TotalCapabilities <*> total TotalStructureBytes
    <*> total TotalHoleBytes <*> total TotalCommitLimitBytes
  counters <- Counters <$> total TotalPurgedBytes <*> total TotalFreshPages <*> total TotalAdoptedPages
    <*> total TotalFullPages <*> total TotalRetiredPages <*> total TotalRemoteFreedBlocks
    <*> total TotalRefusedRequests
  Stats gauges counters
    <$> (sortOn fst . named sizeClass <$> parts 0 classes)
    <*> (named ownerOfId <$> parts classes owners)
    <*> (named heapOfId <$> parts (classes + owners) heaps)
    <*> foldM (\rest place -> (: rest) <$> nameAt place) [] [nwords - each, nwords - 2 * each .. theNames]
  where
    at :: Int -> IO Int
    at i = fromIntegral <$> peekElemOff p i
    sizeClass key = if key == 0 then Larger else BlockBytes (fromIntegral key)

heapOfId :: Word64 -> HeapId
heapOfId key = if key == 1 then MainHeap else HeapNumber (fromIntegral key)

-- As in docs/DESIGN.md, section 5.
ownerOfId :: Word64 -> Owner
ownerOfId key
  | key == 0 = Nobody
  | key <= fromIntegral (ownerIdStep * capabilitiesMost) =
      Capability (fromIntegral key `quot` ownerIdStep - 1)
  | otherwise = OSThread key

-- As C made it fit: UTF-8. Base's function for that has a handler, and masks.
peekName :: Ptr Word8 -> IO String
peekName p = characters <$> peekArray0 0 p
  where
    characters [] = []
    characters (b : bs) = chr (foldl (\n c -> 64 * n + fromIntegral (c .&. 63)) first more) : characters rest
      where
        (more, rest) = splitAt follow bs
        (first, follow)
          | b < 0x80 = (fromIntegral b, 0)
          | b < 0xe0 = (fromIntegral (b .&. 31), 1)
          | b < 0xf0 = (fromIntegral (b .&. 15), 2)
          | otherwise = (fromIntegral (b .&. 7), 3)

-- | The same as JSON, in C's words: an object with @gauges@, @counters@, @size_classes@, @owners@ and
-- @heaps@. Their numbers are called as the fields here are, without what these begin with: @live_bytes@ is
-- 'gaugeLiveBytes'. A safe call. For want of memory, 'Mimalloc.isResourceExhausted'.
--
-- >>> Char8.take 12 <$> statsJson
-- "{\"version\":1"
--
-- @since 0.1.0.0
statsJson :: IO ByteString
statsJson = packCString "statsJson" (mi_stats_get_json_safe 0 nullPtr)

-- | Prints the statistics to stderr, for people. The answer comes first:
--
-- > mimalloc: resident 3.1 GiB = GHC 1.2 GiB + this allocator 1.7 GiB + other 204.1 MiB
-- >   committed 1.8 GiB = live 921.4 MiB + free beside it 310.2 MiB + free and due 512.0 MiB + ..
-- >   most of it: heap 7 "cache" (1.2 GiB), 4 KiB blocks (1.0 GiB), capability 3 (801.0 MiB)
--
-- The first line says whose the resident memory is, as "Mimalloc.Metrics" does. (Where the system does not
-- say it, there is the whole alone.) The second says what this allocator's is: /free and due/ is what no page
-- has, which goes back to the system in a moment. /Committed/ may be more than what is resident: of it, what
-- nobody has touched yet, and holes, are not. The third names the largest heap, size of blocks and owner.
-- Then there are tables of all of these, the largest first; of heaps and owners the largest 20, and the
-- others summed up.
--
-- @since 0.1.0.0
printStats :: IO ()
printStats = getResident >>= \known -> case known of
  Nothing -> said 0 0 0
  Just r -> said (residentTotal r) (residentGhc r) (residentOurs r)
  where
    said :: Int -> Int -> Int -> IO ()
    said a b c = mi_stats_print_resident_safe (fromIntegral a) (fromIntegral b) (fromIntegral c)

-- | The 'Counters' start anew, for the whole process, and so does the peak of what is committed
-- ('gaugePeakCommittedBytes', 'processInfoPeakCommit'). All others count from the start of the process for
-- ever: 'capabilityStats', 'Mimalloc.Pressure.pressureStats', the other peaks. A reader at the same time gets
-- each counter as it was before, as it is after, or 0.
--
-- >>> resetStats
-- >>> counterPurgedBytes . statsCounters <$> getStats
-- 0
--
-- @since 0.1.0.0
resetStats :: IO ()
resetStats = mi_stats_reset

-- | Does nothing: counters are merged when they are read. It is here for programs written for other
-- allocators.
--
-- @since 0.1.0.0
mergeStats :: IO ()
mergeStats = mi_stats_merge

-- | What a heap holds in blocks of one size.
--
-- @since 0.1.0.0
data HeapContent = HeapContent
  { contentBlockBytes :: !Int    -- ^ blocks of at most so many bytes (usable); of those that are larger than
                                 --   64 KiB a power of two
  , contentUsage      :: !Usage
  , contentByAge      :: [(Maybe Int, Int)]
    -- ^ of the live bytes, those whose page was made at most so many seconds ago, and not in one of the
    --   entries before; in the last one 'Nothing', longer ago. A block is no older than its page, which may
    --   have had others before.
  } deriving (Eq, Show, Generic, NFData)

-- | What is in the heap, by size, ascending, and by age. Others may allocate from the heap and free
-- meanwhile: then it is a recent value for each page. It takes as long as the heap has pages. A safe call.
-- In a heap that has ended an illegal operation ('System.IO.Error.isIllegalOperation').
--
-- >>> contents <- withHeap $ \h -> withHeapMallocBytes h 5000 (const (heapContents h))
-- >>> [ (contentBlockBytes c, usageLiveBlocks (contentUsage c)) | c <- contents ]
-- [(5120,1)]
-- >>> sum (concatMap (map snd . contentByAge) contents)
-- 5120
--
-- @since 0.1.0.0
heapContents :: Heap s -> IO [HeapContent]
heapContents heap = usingHeap "heapContents" heap contentsOf

-- | The same of the main heap, which has all blocks that are in no other; as long as there are pages in all
-- heaps.
--
-- >>> sizes <- withMallocBytes 5000 (const (map contentBlockBytes <$> mainContents))
-- >>> 5120 `elem` sizes
-- True
--
-- @since 0.1.0.0
mainContents :: IO [HeapContent]
mainContents = contentsOf nullPtr

contentsOf :: Ptr MiHeap -> IO [HeapContent]
contentsOf heap = allocaArray (most * row) $ \p -> do
  n <- fromIntegral <$> mi_heap_contents_safe heap p (fromIntegral most)
  mapM (content . advancePtr p . (row *)) [0 .. min n most - 1]
  where
    row = 5 + contentAges
    most = 150                              -- there are fewer classes
    content :: Ptr Word64 -> IO HeapContent
    content p = HeapContent <$> at 0 <*> (Usage <$> at 1 <*> at 2 <*> at 3 <*> at 4)
      <*> (zip ages <$> mapM (at . (5 +)) [0 .. contentAges - 1])
      where at i = fromIntegral <$> peekElemOff p i
    ages = map Just [1, 10, 60, 600, 3600, 86400] ++ [Nothing]

-- | Prints the heap to stderr, for a report of what is wrong with it: what it is, what is in it by size,
-- whose its pages are, where they are, how full they are, what is in them by age, and the options that were
-- set. Others may go on meanwhile. Exceptions as of 'heapContents'.
--
-- @since 0.1.0.0
printHeap :: Heap s -> IO ()
printHeap heap = usingHeap "printHeap" heap mi_heap_print_safe

-- | The same of the main heap.
--
-- @since 0.1.0.0
printMainHeap :: IO ()
printMainHeap = mi_heap_print_safe nullPtr

-- | Takes in what others freed of the heaps of the capability one is on, and gives back what is empty. It
-- never needs to be called.
--
-- >>> collect
--
-- @since 0.1.0.0
collect :: IO ()
collect = mi_cap_collect 0

-- | Gives back what is empty of the heaps of every enabled capability and of the OS thread one is on, also
-- what is kept for reuse, and that memory to the system at once. What the garbage collector has not freed yet
-- is not free: for the whole effect, 'System.Mem.performMajorGC' before. A safe call, in proportion to what
-- is given back.
--
-- >>> collectForce
--
-- @since 0.1.0.0
collectForce :: IO ()
collectForce = do
  n <- getNumCapabilities
  forM_ [0 .. n - 1] $ \c -> do
    done <- newEmptyMVar
    _ <- masked $ forkOn c (mi_cap_collect 1 >> putMVar done ())
    takeMVar done
  mi_collect_safe 1

-- | The C library's version: 100 * major + 10 * minor + patch.
--
-- >>> getMimallocVersion
-- 100
--
-- @since 0.1.0.0
getMimallocVersion :: IO Int
getMimallocVersion = fromIntegral <$> mi_version

-- | The same, as a constant.
--
-- >>> mimallocVersion
-- 100
--
-- @since 0.1.0.0
mimallocVersion :: Int
mimallocVersion = unsafePerformIO getMimallocVersion
{-# NOINLINE mimallocVersion #-}

-- | The heaps of all capabilities that have allocated, in order. May be called from any thread; throws
-- nothing.
--
-- >>> heaps <- mallocForeignPtrBytes 100 >> capabilityStats
-- >>> any ((>= 1) . capabilityFreshPages) heaps
-- True
--
-- @since 0.1.0.0
capabilityStats :: IO [CapabilityStats]
capabilityStats = readCapabilities mi_cap_stats

-- | How many blocks are in use in the whole process, and how many bytes they can hold. Exact while nobody
-- allocates or frees. May be called from any thread; throws nothing.
--
-- >>> (blocks, bytes) <- withMallocBytes 100 (const liveBlocks)
-- >>> blocks >= 1 && bytes >= 100
-- True
--
-- @since 0.1.0.0
liveBlocks :: IO (Int, Int)
liveBlocks = allocaArray 2 $ \p -> do
  mi_live_safe p (p `advancePtr` 1)
  (,) <$> (fromIntegral <$> peekElemOff p 0) <*> (fromIntegral <$> peekElemOff p 1)

-- | Neighbouring slices of an arena, of 64 KiB each, that are used for one thing.
--
-- @since 0.1.0.0
data ArenaRun = ArenaRun
  { runFirst  :: !Int  -- ^ the first of them, counted from the begin of the arena
  , runSlices :: !Int  -- ^ how many
  , runUse    :: !ArenaUse
  } deriving (Eq, Show, Generic, NFData)

-- | What slices are used for.
--
-- @since 0.1.0.0
data ArenaUse
  = ArenaFree   -- ^ free, and not in memory: given back, or never used
  | ArenaWaits  -- ^ free; the memory waits to go back to the system
  | ArenaKept   -- ^ kept for the next page that is as large, or just changing hands
  | ArenaPage !Owner !HeapId !Int !Int !Int
    -- ^ a page: whose; the size of its blocks, bytes; how many of these live; bytes given back inside it
  deriving (Eq, Show, Generic, NFData)

-- | The arenas that there are: number and bytes, in the order of numbers, which are those that
-- 'Mimalloc.Heap.withHeapInArena' takes. From any thread; throws nothing.
--
-- >>> arenas <- withMallocBytes 1000 (const getArenas)
-- >>> all ((> 0) . snd) arenas && not (null arenas)
-- True
--
-- @since 0.1.0.0
getArenas :: IO [(MiArenaId, Int)]
getArenas = allocaArray 1 $ \size ->
  let from before = do
        arena <- mi_arena_next before
        if arena == 0 then pure [] else do
          _ <- mi_arena_area arena size
          bytes <- fromIntegral <$> peekElemOff size 0
          rest <- from arena
          pure (if bytes == 0 then rest else (arena, bytes) : rest)   -- one that has just gone
  in from 0

-- | What an arena's slices are used for, in order; nothing if there is no such arena. A safe call, from any
-- thread, which stops nobody: while others go on each run is of a recent moment. Throws nothing.
--
-- >>> (arena, bytes) : _ <- withMallocBytes 1000 (const getArenas)
-- >>> runs <- arenaMap arena
-- >>> 65536 * sum (map runSlices runs) == bytes
-- True
--
-- @since 0.1.0.0
arenaMap :: MiArenaId -> IO [ArenaRun]
arenaMap arena = go 1024
  where
    go :: Int -> IO [ArenaRun]
    go room = do
      r <- allocaArray (room * words_) $ \p -> do
        n <- fromIntegral <$> mi_arena_map_safe arena p (fromIntegral room)
        if n > room then pure (Left n) else Right <$> foldM (part p) [] [n - 1, n - 2 .. 0]
      either (\n -> go (n + n `quot` 8)) pure r              -- others may come up meanwhile
    words_ = 1 + fromEnum (maxBound :: ArenaRunWord)
    part p rest i = do
      let word field = peekElemOff p (words_ * i + fromEnum field)
          int field = fromIntegral <$> word field
      use <- word ArenaRunUse
      run <- ArenaRun <$> int ArenaRunFirst <*> int ArenaRunNslices <*> case use of
        0 -> pure ArenaFree
        1 -> pure ArenaWaits
        2 -> pure ArenaKept
        _ -> ArenaPage . ownerOfId <$> word ArenaRunOwner <*> (heapOfId <$> word ArenaRunHeap)
               <*> int ArenaRunBlockSize <*> int ArenaRunLiveBlocks <*> int ArenaRunHoleBytes
      pure (run : rest)

-- | What the process as a whole has used, as the system and the allocator count it.
--
-- @since 0.1.0.0
data ProcessInfo = ProcessInfo
  { processInfoElapsedMsecs  :: !Int -- ^ milliseconds since the process started to use the allocator
  , processInfoUserMsecs     :: !Int -- ^ milliseconds of processor time in user mode
  , processInfoSystemMsecs   :: !Int -- ^ milliseconds of processor time in the system
  , processInfoCurrentRSS    :: !Int -- ^ bytes resident now; 0 where the system does not say
  , processInfoPeakRSS       :: !Int -- ^ the most bytes that were resident
  , processInfoCurrentCommit :: !Int -- ^ bytes the allocator has committed now
  , processInfoPeakCommit    :: !Int -- ^ the most bytes the allocator had committed
  , processInfoPageFaults    :: !Int -- ^ page faults that needed the disk
  } deriving (Eq, Show, Generic, NFData)

-- | Time and memory of the process. May be called from any thread; throws nothing.
--
-- >>> info <- getProcessInfo
-- >>> processInfoPeakRSS info > 0
-- True
--
-- @since 0.1.0.0
getProcessInfo :: IO ProcessInfo
getProcessInfo = allocaArray (1 + fromEnum (maxBound :: ProcessWord)) $ \p -> do
  let at = advancePtr p
      field f = fromIntegral <$> peekElemOff p (fromEnum f)
  mi_process_info_safe (at 0) (at 1) (at 2) (at 3) (at 4) (at 5) (at 6) (at 7)
  ProcessInfo <$> field ProcessElapsedMsecs <*> field ProcessUserMsecs <*> field ProcessSystemMsecs
    <*> field ProcessCurrentRss <*> field ProcessPeakRss
    <*> field ProcessCurrentCommit <*> field ProcessPeakCommit <*> field ProcessPageFaults
