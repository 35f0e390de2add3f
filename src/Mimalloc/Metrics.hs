{-# LANGUAGE DeriveAnyClass #-}
{-# LANGUAGE DeriveGeneric #-}
{-# LANGUAGE OverloadedStrings #-}
-- |
-- Figures for monitoring: what the process has resident and whose it is, what this allocator's heaps hold,
-- what was asked of the garbage collector. As a list of metrics, and as text for Prometheus, for
-- OpenMetrics, and as JSON.
--
-- >>> import qualified Data.ByteString.Char8 as Char8
-- >>> import Mimalloc.Metrics
-- >>> text <- scrape Prometheus
-- >>> Char8.putStr (Char8.unlines (take 2 (Char8.lines text)))
-- # HELP mimalloc_process_resident_bytes Memory of the process that is resident.
-- # TYPE mimalloc_process_resident_bytes gauge
--
-- All functions may be called from any thread; they stop nobody. For want of memory, 'getMetrics' and what
-- calls it throw an 'IOError' (@isResourceExhausted@).
--
-- == Why is it at 3 GB?
--
-- @mimalloc_resident_bytes@ has three samples, which add up to @mimalloc_process_resident_bytes@:
--
-- [@part="ghc"@] what is resident in the addresses that GHC has reserved for its heap, whether live,
--   garbage, or kept for later; without what GHC's runtime system has from C's @malloc@. @+RTS -T@ is not
--   needed.
-- [@part="mimalloc"@] what is resident in this allocator's arenas, in the structures of these and in mappings
--   of single blocks: live blocks, what is free and waits to go back, what is free beside live blocks. Pages
--   that nobody has touched are not in it, nor are explicit huge pages, which the system does not count as
--   resident. Its other structures (of heaps, of owners) are counted by what they occupy; its page map, some
--   pages of the system's, is in the last.
-- [@part="other"@] the rest, by subtraction: code and data of the program and its libraries, stacks, what
--   C's @malloc@ has, what others have mapped.
--
-- The three are of one read of @\/proc\/self\/smaps@. (Where the system has put memory of ours and of
-- others into one mapping it is asked about our pages a moment later, so that some of what is just being
-- given back may be reported as other.) Without that file, or where there is no descriptor left to read it
-- by, these metrics have no samples, nor has @mimalloc_process_resident_bytes@ where the system does not
-- say. Reading it takes time in proportion to the mappings and to the pages that are resident, and who maps
-- or unmaps memory meanwhile may wait: where that is too long, 'detailResidence' leaves it out.
--
-- == Consistency
--
-- All figures of one call are of one pass: one look at the pages ('getStats'), at what capabilities count
-- ('capabilityStats'), at the collections asked for ('pressureStats'), at GHC's statistics and at the
-- system's. They are as exact as these are. By size class, by owner and by heap, samples add up to the same
-- totals, @mimalloc_live_bytes@ and @mimalloc_live_blocks@.
--
-- @mimalloc_profile_...@ are of the profile by samples (@mimalloc-profile.h@): how many there are, and what
-- they stand for, by size, by lifetime and by age. They have samples once it has taken one.
--
-- With 'resetStats' begin anew: @mimalloc_purged_bytes_total@, @mimalloc_fresh_pages_total@,
-- @mimalloc_adopted_pages_total@, @mimalloc_full_pages_total@, @mimalloc_retired_pages_total@,
-- @mimalloc_remote_freed_blocks_total@, @mimalloc_refused_requests_total@, and the gauge
-- @mimalloc_committed_peak_bytes@. No other counter is ever reset.
--
-- == How many samples
--
-- Size classes are at most some eighty, and only those that have pages are there. Capabilities are by
-- number, at most 256; OS threads that have pages of their own are summed up. Of heaps there are the main
-- heap and the largest ('detailHeaps', 20 by default); the rest are summed up as @heap="other"@.
-- A heap's number is never used again, so with heaps that come and go a database gets a new series for each
-- number that it is shown. Heaps that have a name ('Mimalloc.Heap.nameHeap') are shown by that, those of one
-- name summed up, so that there is one series for all that have it. (But for the names @main@, @other@,
-- @none@ and those of digits alone: heaps that are called so are shown by their numbers.)
--
-- Names follow Prometheus' conventions: base units, the unit at the end, @_total@ for counters.
--
-- @since 0.1.0.0
module Mimalloc.Metrics
  ( -- * Metrics
    Metric (..)
  , MetricKind (..)
  , Sample (..)
  , Value (..)
  , sampleName
  , getMetrics
    -- * As text
  , Format (..)
  , scrape
  , scrapeLazy
  , renderMetrics
  , contentType
    -- * How much of it
  , Detail (..)
  , defaultDetail
  , getMetricsWith
    -- * What the examples import
    -- $setup
  ) where

import Control.DeepSeq (NFData)
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder (stringUtf8, toLazyByteString)
import qualified Data.ByteString.Lazy as Lazy
import Data.Char (isDigit)
import Data.Either (isLeft)
import Data.Function (on)
import Data.List (partition, sortOn)
import qualified Data.List as List
import Data.Ord (Down (..))
import Data.Word (Word8)
import Foreign.Marshal.Array (allocaArray, peekArray)
import GHC.Generics (Generic)
import GHC.Stats (GCDetails (..), RTSStats (..), getRTSStats, getRTSStatsEnabled)

import Mimalloc.Internal.Capabilities
import Mimalloc.Internal.Exposition
import Mimalloc.Internal.FFI (mi_cap_counts, mi_profile_counts, mi_profile_histograms_safe, mi_profile_rate)
import Mimalloc.Internal.Numbers (profileAges, profileSizes)
import Mimalloc.Internal.Resident
import Mimalloc.Pressure
import Mimalloc.Stats

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> import Mimalloc.Metrics
-- >>> import Data.ByteString.Builder (toLazyByteString)
-- >>> import qualified Data.ByteString.Lazy.Char8 as Lazy
-- >>> :set -XOverloadedStrings
-- >>> import Mimalloc
-- >>> import qualified Data.ByteString.Char8 as Char8

-- | How much is to be reported.
--
-- @since 0.1.0.0
data Detail = Detail
  { detailHeaps     :: !Int   -- ^ so many heaps besides the main one have samples of their own: those with
                              --   most bytes in pages
  , detailResidence :: !Bool  -- ^ whether to read @\/proc\/self\/smaps@
  } deriving (Eq, Show, Generic, NFData)

-- | Twenty heaps, and the residence.
--
-- >>> defaultDetail
-- Detail {detailHeaps = 20, detailResidence = True}
--
-- @since 0.1.0.0
defaultDetail :: Detail
defaultDetail = Detail { detailHeaps = 20, detailResidence = True }

-- | All metrics, in the 'defaultDetail'. They are the same in each call, but for what they have samples of.
--
-- >>> metrics <- withMallocBytes 1000 (const getMetrics)
-- >>> let live = [ m | m <- metrics, metricName m == "mimalloc_live_blocks" ]
-- >>> map ((> Whole 0) . sampleValue) (concatMap metricSamples live)
-- [True]
--
-- @since 0.1.0.0
getMetrics :: IO [Metric]
getMetrics = getMetricsWith defaultDetail

-- | All metrics.
--
-- >>> let detail = defaultDetail { detailHeaps = 0 }
-- >>> metrics <- getMetricsWith detail
-- >>> and [ length (metricSamples m) <= 3 | m <- metrics, metricName m == "mimalloc_heap_live_bytes" ]
-- True
--
-- @since 0.1.0.0
getMetricsWith :: Detail -> IO [Metric]
getMetricsWith detail = do
  stats <- getStats
  capabilities <- readCapabilities mi_cap_counts
  pressure <- pressureStats
  profile <- getProfile
  process <- getProcessInfo
  ghc <- getRTSStatsEnabled >>= \enabled -> if enabled then Just <$> getRTSStats else pure Nothing
  resident <- if detailResidence detail then getResident else pure Nothing
  pure $ concat
    [ ofProcess (statsGauges stats) process resident
    , ofAllocator stats
    , ofSizeClasses stats
    , ofOwners stats
    , ofHeaps (detailHeaps detail) stats
    , ofCapabilities capabilities
    , ofPressure pressure
    , ofProfile profile
    , maybe [] ofGhc ghc
    ]

-- | What an endpoint for scrapes answers, with the 'contentType' of the format.
--
-- >>> Char8.isSuffixOf "# EOF\n" <$> scrape OpenMetrics
-- True
--
-- @since 0.1.0.0
scrape :: Format -> IO ByteString
scrape format = Lazy.toStrict <$> scrapeLazy format

-- | The same, lazy in the text only: the metrics are of the time of the call.
--
-- @since 0.1.0.0
scrapeLazy :: Format -> IO Lazy.ByteString
scrapeLazy format = toLazyByteString . renderMetrics format <$> getMetrics

-- ---- the metrics

-- Named without what all names begin with.
type Named = ByteString -> ByteString -> [Sample] -> Metric

bytes, number, bytesCounter, counter, secondsCounter, bytesHistogram, secondsHistogram :: Named
bytes name help = Metric ("mimalloc_" <> name <> "_bytes") "By" help KindGauge
number name help = Metric ("mimalloc_" <> name) "1" help KindGauge
bytesCounter name help = Metric ("mimalloc_" <> name <> "_bytes") "By" help KindCounter
counter name help = Metric ("mimalloc_" <> name) "1" help KindCounter
secondsCounter name help = Metric ("mimalloc_" <> name <> "_seconds") "s" help KindCounter
bytesHistogram name help = Metric ("mimalloc_" <> name <> "_bytes") "By" help KindHistogram
secondsHistogram name help = Metric ("mimalloc_" <> name <> "_seconds") "s" help KindHistogram

one :: Int -> [Sample]
one n = [Sample [] (Whole n)]

by :: ByteString -> [(ByteString, Int)] -> [Sample]
by label values = [ Sample [(label, v)] (Whole n) | (v, n) <- values ]

ofProcess :: Gauges -> ProcessInfo -> Maybe Resident -> [Metric]
ofProcess g p resident =
  [ bytes "process_resident" "Memory of the process that is resident." (known now)
  , bytes "process_resident_peak" "The most that was resident so far."
      (known (max now (gaugePeakResidentBytes g)))
  , bytes "resident" "Resident memory of the process by whose it is: GHC's heap, this allocator's, other."
      (maybe [] parts resident)
  , bytes "process_huge" "Of what is resident, memory in transparent huge pages."
      (maybe [] (one . residentHuge) resident)
  , bytes "process_swapped" "Memory of the process that was swapped out."
      (maybe [] (one . residentSwapped) resident)
  , secondsCounter "process_cpu" "Processor time of the process by mode."
      [ Sample [("mode", "user")] (Real (milliseconds (processInfoUserMsecs p)))
      , Sample [("mode", "system")] (Real (milliseconds (processInfoSystemMsecs p))) ]
  , counter "process_major_page_faults" "Page faults that needed the disk." (one (processInfoPageFaults p))
  ]
  where
    now = maybe (gaugeResidentBytes g) residentTotal resident
    -- No process has none: the system did not say.
    known n = [ Sample [] (Whole n) | n > 0 ]
    milliseconds n = fromIntegral n / 1000
    parts r =
      let ghc = residentGhc r
          ours = min (residentTotal r - ghc) (residentOurs r + gaugeStructureBytes g)
      in by "part" [("ghc", ghc), ("mimalloc", ours), ("other", residentTotal r - ghc - ours)]

ofAllocator :: Stats -> [Metric]
ofAllocator stats =
  [ bytes "live" "Of blocks in use, what they can hold." (one (gaugeLiveBytes g))
  , number "live_blocks" "Blocks in use." (one (gaugeLiveBlocks g))
  , bytes "committed" "Address space that was handed out since it was last purged."
      (one (gaugeCommittedBytes g))
  , bytes "committed_peak" "The most that was committed." (one (gaugePeakCommittedBytes g))
  , bytes "reserved" "Address space." (one (gaugeReservedBytes g))
  , bytes "structure" "Of what is committed, the allocator's own structures." (one (gaugeStructureBytes g))
  , bytes "hole" "Of what is committed, what was given back between live blocks." (one (gaugeHoleBytes g))
  , bytes "commit_limit" "The most that may be committed; none if there is no limit."
      [ Sample [] (Whole (gaugeCommitLimitBytes g)) | gaugeCommitLimitBytes g > 0 ]
  , counter "refused_requests" "Requests for a block that failed because of the commit limit."
      (one (counterRefusedRequests c))
  , number "pages" "Runs of blocks of one size class." (one (gaugePages g))
  , number "arenas" "Large reservations of address space." (one (gaugeArenas g))
  , number "mappings" "Blocks with a mapping of their own." (one (gaugeMappings g))
  , number "heaps" "Heaps with pages." (one (length (statsHeaps stats)))
  , number "threads" "OS threads with heaps." (one (gaugeThreads g))
  , number "capabilities" "Capabilities with heaps." (one (gaugeCapabilities g))
  , bytesCounter "purged" "Memory given back to the system." (one (counterPurgedBytes c))
  , counter "fresh_pages" "Pages of the main heap taken new." (one (counterFreshPages c))
  , counter "adopted_pages" "Pages of the main heap taken over from others, or back."
      (one (counterAdoptedPages c))
  , counter "full_pages" "Pages of the main heap given up because nothing was free in them."
      (one (counterFullPages c))
  , counter "retired_pages" "Pages of the main heap given back empty." (one (counterRetiredPages c))
  , counter "remote_freed_blocks" "Blocks of the main heap freed by others than their page's owner."
      (one (counterRemoteFreedBlocks c))
  ]
  where
    g = statsGauges stats
    c = statsCounters stats

-- Four metrics of the same things. The name is of one thing.
usage :: ByteString -> ByteString -> ByteString -> [(ByteString, Usage)] -> [Metric]
usage name what label us =
  [ bytes (name <> "_live") ("Of blocks in use, what they can hold, by " <> what <> ".") (of_ usageLiveBytes)
  , number (name <> "_live_blocks") ("Blocks in use, by " <> what <> ".") (of_ usageLiveBlocks)
  , bytes (name <> "_page") ("Of pages, all their bytes, by " <> what <> ".") (of_ usagePageBytes)
  , number (name <> "_pages") ("Pages, by " <> what <> ".") (of_ usagePages)
  ]
  where
    -- Made once for the four.
    labelled = [ ([(label, v)], u) | (v, u) <- us ]
    of_ field = [ Sample l (Whole (field u)) | (l, u) <- labelled ]

ofSizeClasses :: Stats -> [Metric]
ofSizeClasses = usage "size_class" "size of blocks in bytes" "block_bytes" . map named . statsSizeClasses
  where
    named (BlockBytes n, u) = (digits n, u)
    named (Larger, u) = ("larger", u)

ofOwners :: Stats -> [Metric]
ofOwners stats = usage "owner" "owner of the pages: a capability, OS threads, nobody" "owner" $
  [ ("capability " <> digits n, u) | (Capability n, u) <- statsOwners stats ]
    ++ summed "threads" [ u | (OSThread _, u) <- statsOwners stats ]
    ++ summed "nobody" [ u | (Nobody, u) <- statsOwners stats ]

-- Blocks with mappings of their own are in no heap: what is missing to the total.
ofHeaps :: Int -> Stats -> [Metric]
ofHeaps most stats = usage "heap" "heap: main, by name or number, other" "heap" $
  [ ("main", u) | (MainHeap, u) <- statsHeaps stats ]
    ++ [ (either digits id heap, u) | (heap, u) <- sortOn fst shown ]
    ++ summed "other" (map snd rest)
    ++ [ ("none", unlisted) | gaugeMappings (statsGauges stats) > 0 ]
  where
    (shown, rest) = splitAt most (sortOn (Down . usagePageBytes . snd) (numbered ++ named))
    (numbered, withNames) = partition (isLeft . fst) (called (statsHeaps stats) (statsHeapNames stats))
    named = [ (name, total (map snd us)) | us@((name, _) : _) <- alike (sortOn fst withNames) ]
    alike = List.groupBy ((==) `on` fst)
    unlisted = total (map snd (statsSizeClasses stats)) `less` total (map snd (statsHeaps stats))
    less (Usage a b c d) (Usage p q r s) = Usage (a - p) (b - q) (c - r) (d - s)

-- Names are in the order of heaps.
called :: [(HeapId, Usage)] -> [(HeapId, String)] -> [(Either Int ByteString, Usage)]
called ((MainHeap, _) : heaps) names = called heaps names
called ((heap@(HeapNumber n), u) : heaps) ((named, name) : names)
  | heap == named = (if taken then Left n else Right utf8, u) : called heaps names
  where
    taken = name `elem` ["main", "other", "none"] || all isDigit name
    utf8 = Lazy.toStrict (toLazyByteString (stringUtf8 name))
called ((HeapNumber n, u) : heaps) names = (Left n, u) : called heaps names
called [] _ = []

summed :: ByteString -> [Usage] -> [(ByteString, Usage)]
summed name us = [ (name, total us) | not (null us) ]

total :: [Usage] -> Usage
total = List.foldl' add (Usage 0 0 0 0)
  where add (Usage a b c d) (Usage p q r s) = Usage (a + p) (b + q) (c + r) (d + s)

ofCapabilities :: [CapabilityStats] -> [Metric]
ofCapabilities cs =
  [ number "capability_pages" "Pages a capability allocates from." (of_ capabilityPages)
  , counter "capability_fresh_pages" "Pages a capability took new." (of_ capabilityFreshPages)
  , counter "capability_adopted_pages" "Pages a capability took over." (of_ capabilityAdoptedPages)
  , counter "capability_full_pages" "Pages a capability gave up full." (of_ capabilityFullPages)
  , counter "capability_retired_pages" "Pages a capability gave back empty." (of_ capabilityRetiredPages)
  , counter "capability_remote_freed_blocks" "Blocks of a capability that others freed."
      (of_ capabilityRemoteFreed)
  ]
  where of_ field = by "capability" [ (digits (capabilityNumber c), field c) | c <- cs ]

ofPressure :: PressureStats -> [Metric]
ofPressure p =
  [ bytes "pressure_held" "What live blocks in foreign pointers take up." (one (pressureHeldBytes p))
  , bytes "pressure_next" "A collection is asked for when so much lives; none if never."
      (threshold (pressureNextBytes p))
  , bytes "pressure_next_major" "A major collection is asked for when so much lives; none if never."
      (threshold (pressureNextMajorBytes p))
  , counter "pressure_collections" "Collections asked for because of native memory."
      (by "generation" [("minor", pressureMinorCollections p), ("major", pressureMajorCollections p)])
  , bytesCounter "pressure_freed" "What these collections gave back."
      (by "generation" [("minor", pressureMinorFreedBytes p), ("major", pressureMajorFreedBytes p)])
  ]
  where threshold n = if n == 0 then [] else one n

-- Live, taken, dropped, stacks, rate; and the histograms of C, as they lie in memory.
data Profile = Profile [Int] [Double]

getProfile :: IO Profile
getProfile = Profile
  <$> ((++) <$> counts <*> (pure . fromIntegral <$> mi_profile_rate))
  <*> allocaArray doubles (\p -> mi_profile_histograms_safe p >> peekArray doubles p)
  where
    counts = allocaArray 4 $ \p -> mi_profile_counts p >> map fromIntegral <$> peekArray 4 p
    doubles = profileSizes + 1 + profileAges + 1 + profileAges

-- While nothing was ever sampled there are no samples of it, but for how many there were.
ofProfile :: Profile -> [Metric]
ofProfile (Profile counts histograms) =
  [ bytes "profile_rate" "Bytes on average between two points that make samples; none if off."
      [ Sample [] (Whole n) | n <- [count 4], n > 0 ]
  , number "profile_samples" "Samples of the profile that live." (one (count 0))
  , counter "profile_taken_samples" "Samples that were taken." (one (count 1))
  , counter "profile_dropped_samples" "Samples for which there was no room or memory." (one (count 2))
  , number "profile_stacks" "Different stacks of samples." (one (count 3))
  , bytesHistogram "profile_size" "Sizes of allocated blocks, as asked for, estimated from samples."
      [ distribution (map (4 ^) [2 :: Int ..]) sizes (total_ !! 0) | there ]
  , secondsHistogram "profile_lifetime" "How long blocks lived that were freed, estimated from samples."
      [ distribution limits ages (total_ !! 1 / 1000) | there ]
  , bytes "profile_live" "What lives, as asked for, by age in seconds at most, estimated from samples."
      [ Sample [("age", age)] (Whole (round n)) | there, (age, n) <- zip names live ]
  ]
  where
    count = (counts !!)
    there = count 1 > 0
    (sizes, rest) = splitAt profileSizes histograms
    (ages, rest') = splitAt profileAges (drop 1 rest)
    total_ = take 1 rest ++ take 1 rest'
    live = drop 1 rest'
    limits = [0.01, 0.1, 1, 10, 60, 600, 3600, 86400]
    names = ["0.01", "0.1", "1", "10", "60", "600", "3600", "86400", "older"]
    distribution ls ns s = Sample [] (Distribution (zip ls (init sums)) (last sums) s)
      where sums = map round (scanl1 (+) ns)

-- What GHC counts under +RTS -T. Gauges are as of its last collection.
ofGhc :: RTSStats -> [Metric]
ofGhc s =
  [ bytes "ghc_live" "Of GHC's heap, what lived at the last collection." (whole gcdetails_live_bytes)
  , bytes "ghc_large" "Of it, large and pinned objects." (whole gcdetails_large_objects_bytes)
  , bytes "ghc_compact" "Of it, compact regions." (whole gcdetails_compact_bytes)
  , bytes "ghc_slop" "Of GHC's heap, what is lost between objects." (whole gcdetails_slop_bytes)
  , bytes "ghc_committed" "Memory GHC's heap has from the system." (whole gcdetails_mem_in_use_bytes)
  , bytesCounter "ghc_allocated" "Allocated in GHC's heap." (one (fromIntegral (allocated_bytes s)))
  , bytesCounter "ghc_copied" "Copied by GHC's collections." (one (fromIntegral (copied_bytes s)))
  , counter "ghc_collections" "GHC's collections, whoever asked." $ by "generation"
      [("minor", fromIntegral (gcs s) - fromIntegral (major_gcs s)), ("major", fromIntegral (major_gcs s))]
  -- Not that of the program between them, which GHC has as the process's less this one, of the last
  -- collection's end: within a collection that rises, and falls at its end.
  , secondsCounter "ghc_collection_cpu" "Processor time of GHC's collections." (seconds gc_cpu_ns)
  ]
  where
    whole field = one (fromIntegral (field (gc s)))
    seconds field = [Sample [] (Real (fromIntegral (field s) / 1.0e9))]

-- A number that is not negative.
digits :: Int -> ByteString
digits n = fst (ByteString.unfoldrN many next (n, 10 ^ (many - 1)))
  where
    many = long 1 n
    long :: Int -> Int -> Int
    long k m = if m < 10 then k else long (k + 1) (m `quot` 10)
    next :: (Int, Int) -> Maybe (Word8, (Int, Int))
    next (m, p) = let (d, rest) = m `quotRem` p in Just (48 + fromIntegral d, (rest, p `quot` 10))
