-- Statistics: that they say what was done.
module Interface.Stats (tests, things) where

import Control.Concurrent hiding (getNumCapabilities)
import Control.DeepSeq (rnf)
import Control.Exception (try)
import Control.Monad
import qualified Data.ByteString.Char8 as B
import Data.Char (isDigit, isUpper, toLower)
import Data.List (isInfixOf, isPrefixOf, sort, stripPrefix)
import Foreign.ForeignPtr (finalizeForeignPtr, touchForeignPtr)
import Foreign.Marshal.Alloc (alloca)
import Foreign.Marshal.Utils (fillBytes)
import System.Exit (ExitCode (..))
import System.IO.Error (isIllegalOperation)
import System.Posix.Resource
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit
import Text.ParserCombinators.ReadP

import Api.Child
import Api.Support (collectAll)
import Mimalloc
import Mimalloc.Capability
import Mimalloc.Heap
import Mimalloc.Stats

tests :: TestTree
tests = testGroup "stats"
  [ testCase "blocks in use" $ do
      before <- quiet
      ps <- replicateM 1000 (mi_malloc 100)
      during <- getStats
      mapM_ mi_free ps
      after <- quiet
      let live = gaugeLiveBlocks . statsGauges
          bytes = gaugeLiveBytes . statsGauges
      assertBool (show (live before, live during)) (live during - live before >= 990)
      assertBool (show (bytes before, bytes during)) (bytes during - bytes before >= 990 * 112)
      assertBool (show (live before, live after)) (abs (live after - live before) <= 10)
      let ofClass s = sum [ usageLiveBlocks u | (BlockBytes 112, u) <- statsSizeClasses s ]
      assertBool "the size class" (ofClass during - ofClass before >= 990)
  , testCase "the lists add up" $ do
      -- the last with a mapping of its own
      ps <- forM [1, 100, 1000, 10000, 100000, 1000000, 700000000] mi_malloc
      s <- getStats
      let us = [map snd (statsSizeClasses s), map snd (statsOwners s), map snd (statsHeaps s)]
          sums f = map (sum . map f) us
          g = statsGauges s
          n = gaugeMappings g
      sums usageLiveBlocks @?= [gaugeLiveBlocks g, gaugeLiveBlocks g, gaugeLiveBlocks g - n]
      sums usagePages @?= [gaugePages g, gaugePages g, gaugePages g - n]
      take 2 (sums usageLiveBytes) @?= [gaugeLiveBytes g, gaugeLiveBytes g]
      assertBool (show (sums usagePageBytes)) (allEqual (take 2 (sums usagePageBytes)))
      assertBool (show n) (n >= 1)
      assertBool "live is in pages" (and [ usageLiveBytes u <= usagePageBytes u | u <- concat us ])
      assertBool "committed is reserved"
        (gaugeCommittedBytes g <= gaugeReservedBytes g && gaugeCommittedBytes g <= gaugePeakCommittedBytes g)
      mapM_ mi_free ps
  , testCase "can be forced" $ do
      s <- getStats
      capabilities <- capabilityStats
      rnf (s, capabilities) @?= ()
  , testCase "owners" $ do
      n <- getNumCapabilities
      ps <- forM [0 .. n - 1] $ \c -> runOnCapability c (mi_malloc 5000)
      s <- getStats
      forM_ [0 .. n - 1] $ \c -> assertBool (show c) (Capability c `elem` map fst (statsOwners s))
      assertBool "number of capabilities" (gaugeCapabilities (statsGauges s) >= n)
      mapM_ mi_free ps
  , testCase "heaps" $ withHeap $ \h -> withHeapMallocBytes h 100 $ \_ -> do
      s <- getStats
      map fst (take 1 (statsHeaps s)) @?= [MainHeap]
      assertBool "one more"
        (or [ usageLiveBlocks u == 1 && usageLiveBytes u == 112 | (HeapNumber _, u) <- statsHeaps s ])
  , testCase "names of heaps" $ withHeap $ \bracketed -> do
      named <- newNamedHeap "cache \233"
      other <- newHeap
      ps <- mapM (`heapMallocForeignPtrBytes` 100) [named, other]
      nameHeap bracketed "one"
      withHeapMallocBytes bracketed 100 $ \_ -> do
        s <- getStats
        map snd (statsHeapNames s) @?= ["one", "cache \233"]
        assertBool "they are heaps" (all ((`elem` map fst (statsHeaps s)) . fst) (statsHeapNames s))
        nameHeap bracketed "" >> nameHeap named (replicate 46 'x' ++ "\8364") >> nameHeap other "a\"b\0c\nd"
        again <- getStats
        map snd (statsHeapNames again) @?= [replicate 46 'x', "a?b?c?d"]
        j <- json <$> statsJson
        [ name | e <- elements (j ! "heaps"), ("name", Text name) <- members e ]
          @?= [replicate 46 'x', "a?b?c?d"]
      mapM_ touchForeignPtr ps
      endHeap named
      try (nameHeap named "gone") >>=
        either (\e -> isIllegalOperation e @? show e) (const (assertFailure "it has ended"))
  , testCase "the map of an arena" $ alloca $ \p -> do
      mi_reserve_os_memory_ex 8388608 0 0 1 p >>= (@?= 0)
      arena <- peek p
      lookup arena <$> getArenas >>= (@?= Just 8388608)
      arenaMap arena >>= (@?= [ArenaRun 0 128 ArenaFree])
      withHeapInArena arena $ \h -> withHeapMallocBytes h 1000000 $ \_ -> withHeapMallocBytes h 100 $ \_ -> do
        runs <- arenaMap arena
        map runFirst runs @?= init (scanl (+) 0 (map runSlices runs))
        sum (map runSlices runs) @?= 128
        heap : _ <- reverse . map fst . statsHeaps <$> getStats
        sort [ (runSlices r, size >= 1000000, live)
             | r@(ArenaRun _ _ (ArenaPage Nobody h' size live 0)) <- runs, h' == heap ]
          @?= [(1, False, 1), (16, True, 1)]
  , testCase "a block with a page of its own" $ withMallocBytes 1000000 $ \_ -> do
      s <- getStats
      assertBool "one more" (or [ usageLiveBytes u >= 1000000 | (Larger, u) <- statsSizeClasses s ])
  , testCase "counters rise, and start anew" $ do
      let fresh = counterFreshPages . statsCounters
      before <- fresh <$> getStats
      ps <- replicateM 1000 (mi_malloc 3000)
      after <- fresh <$> getStats
      assertBool (show (before, after)) (after > before)
      mapM_ mi_free ps
      resetStats
      again <- fresh <$> getStats
      assertBool (show again) (again < 10)
      mergeStats
  , testCase "taken while others allocate" $ do
      done <- newEmptyMVar
      workers <- forM [1 .. 4 :: Int] $ \i -> do
        t <- forkIO
          (forever (replicateM 50 (mallocForeignPtrBytes (i * 100)) >>= mapM_ finalizeForeignPtr >> yield))
        pure t
      replicateM_ 200 getStats
      putMVar done ()
      mapM_ killThread workers
  , testCase "JSON is the record" $ do
      ps <- forM [1, 100, 1000, 700000000] mi_malloc
      s <- getStats
      j <- json <$> statsJson
      mapM_ mi_free ps
      -- The record has no fields for the profile.
      let names = filter (not . ("profile_" `isPrefixOf`)) . map fst . members
          gauges = j ! "gauges"
          lists = map (j !) ["size_classes", "owners", "heaps"]
          sums name = map (sum . map (number . (! name)) . elements) lists
      names j @?= ["version", "gauges", "counters", "size_classes", "owners", "heaps"]
      sort (names gauges) @?= sort (fields "gauge" (statsGauges s))
      sort (names (j ! "counters")) @?= sort (fields "counter" (statsCounters s))
      forM_ (zip lists [["block_bytes"], ["kind", "number"], ["id"]]) $ \(l, key) ->
          forM_ (elements l) $ \e ->
        filter (/= "name") (names e) @?= key ++ ["pages", "live_blocks", "live_bytes", "page_bytes"]
      map length [elements l | l <- lists]
        @?= [length (statsSizeClasses s), length (statsOwners s), length (statsHeaps s)]
      sums "live_blocks" @?= [number (gauges ! "live_blocks"), number (gauges ! "live_blocks")
                             , number (gauges ! "live_blocks") - number (gauges ! "mappings")]
      number (gauges ! "arenas") @?= gaugeArenas (statsGauges s)
      number (gauges ! "mappings") @?= gaugeMappings (statsGauges s)
      assertBool "live" (abs (number (gauges ! "live_bytes") - gaugeLiveBytes (statsGauges s)) < 100000)
  , testCase "peaks" $ do
      resetStats
      p <- mi_malloc 50000000
      fillBytes p 1 50000000
      during <- statsGauges <$> getStats
      mi_free p
      collectForce
      after <- statsGauges <$> getStats
      assertBool (show (during, after)) (gaugeCommittedBytes after < gaugeCommittedBytes during - 40000000)
      assertBool (show (during, after)) (gaugePeakCommittedBytes after >= gaugeCommittedBytes during)
      forM_ [during, after] $ \g -> assertBool (show g)
        (gaugePeakResidentBytes g >= gaugeResidentBytes g
          && gaugePeakCommittedBytes g >= gaugeCommittedBytes g)
      assertBool (show after) (gaugePeakResidentBytes after >= 50000000)
      resetStats
      g <- statsGauges <$> getStats
      assertBool (show g) (gaugePeakCommittedBytes g < gaugePeakCommittedBytes after)
  , testCase "printed for people" $ do
      (status, _, said) <- child [] "print statistics"
      status @?= ExitSuccess
      let has ws = assertBool said (any (\l -> words ws `isPrefixOf` words l) (lines said))
          answer = words (head (lines said))
      -- the answer: parts that add up, as far as they are written
      [ w | w <- answer, w `notElem` units, any (`notElem` ".0123456789") w ] @?= words
        "mimalloc: resident = GHC + this allocator + other"
      case [ read n * size | (n, unit) <- zip answer (drop 1 answer)
                           , Just size <- [lookup unit (zip units sizes)] ] of
        [whole, ghc, ours, other] -> do
          assertBool said (abs (whole - ghc - ours - other) <= 0.2 * 1048576)
          -- the large block was not touched
          assertBool said (ghc > 100000 && ours > 109 * 1024 && ours < 1000 * 1024)
        _ -> assertFailure said
      assertBool said (" = live 209.4 KiB + free beside it " `isInfixOf` said)
      has "1001 blocks live, 0 freed by others;"
      has "most of it: "
      has "capability 0 1000 blocks 109.4 KiB live in"
      has "the main heap 1000 blocks 109.4 KiB live in"
      has "heap 2 \"cache\" 1 blocks 100.0 KiB live in 1 pages of 128.0 KiB, 78 % used"
      has "112 B blocks 1000 blocks 109.4 KiB live in"
      has "blocks with own pages 1 blocks 100.0 KiB live in 1 pages of 128.0 KiB, 78 % used"
      assertBool said (all ((< 150) . length) (lines said))
  , testCase "where the system does not say what is resident" $ do
      (status, _, said) <- child [("GHCRTS", "-V0")] "print without descriptors"
      status @?= ExitSuccess
      assertBool said ("mimalloc: resident unknown, the whole process; this allocator has committed "
        `isPrefixOf` said)
  , testCase "what is in a heap" $ withHeap $ \h -> do
      heapContents h >>= (@?= [])
      ps <- replicateM 100 (heapMallocForeignPtrBytes h 1000)
      big <- heapMallocForeignPtrBytes h 200000
      contents <- heapContents h
      let live c = (contentBlockBytes c, usageLiveBlocks (contentUsage c), usageLiveBytes (contentUsage c))
      map live contents @?= [(1024, 100, 102400), (262144, 1, 200704)]
      forM_ contents $ \c -> do
        map fst (contentByAge c) @?= map Just [1, 10, 60, 600, 3600, 86400] ++ [Nothing]
        sum (map snd (contentByAge c)) @?= usageLiveBytes (contentUsage c)
        assertBool (show c) (sum (map snd (take 3 (contentByAge c))) == usageLiveBytes (contentUsage c))
      mapM_ finalizeForeignPtr (big : drop 10 ps)
      rest <- heapContents h
      map live rest @?= [(1024, 10, 10240)]
      rnf rest @?= ()
      mapM_ touchForeignPtr ps
      before <- mainContents
      mi_malloc 1000 >>= \p -> do
        during <- mainContents
        mi_free p
        let of_ cs = sum [ usageLiveBlocks (contentUsage c) | c <- cs, contentBlockBytes c == 1024 ]
        assertBool (show (before, during)) (of_ during >= of_ before - 10 && of_ during >= 1)
  , testCase "what is in a heap, while others free and allocate" $ withHeap $ \h -> do
      ps <- replicateM 20000 (heapMallocForeignPtrBytes h 100)
      done <- newEmptyMVar
      void $ forkIO $ do
        forM_ (zip [0 :: Int ..] ps) $ \(i, p) -> do
          finalizeForeignPtr p
          when (i `mod` 4 == 0) $ void (heapMallocForeignPtrBytes h 3000)
        putMVar done ()
      let watch = do
            contents <- heapContents h
            let n = sum [ usageLiveBlocks (contentUsage c) | c <- contents, contentBlockBytes c == 112 ]
            assertBool (show n) (n <= 20000)
            over <- tryTakeMVar done
            maybe (yield >> watch) (const (pure ())) over
      watch
      contents <- heapContents h
      sum [ usageLiveBlocks (contentUsage c) | c <- contents, contentBlockBytes c == 112 ] @?= 0
  , testCase "a heap that has ended has no contents" $ do
      h <- newHeap
      endHeap h
      forM_ [void (heapContents h), printHeap h] $ \act -> try act >>=
        either (\e -> isIllegalOperation e @? show e) (const (assertFailure "it has ended"))
  , testCase "a heap for a report" $ do
      (status, _, said) <- child [("MIMALLOC_MAX_ERRORS", "5")] "print a heap"
      status @?= ExitSuccess
      let has ws = assertBool (ws ++ ": " ++ said) (any (\l -> words ws `isPrefixOf` words l) (lines said))
      has "mimalloc: heap 2 \"cache\": live 15.0 KiB in 3 blocks, in 1 pages of 64.0 KiB"
      has "version 100; tag 0; is deleted"
      has "5 KiB blocks 3 blocks 15.0 KiB live"
      has "pages: 1 queued"
      has "5 KiB blocks 0 1 0 0 0"
      has "blocks up to 5 KiB"
      has "option max_errors = 5"
      has "mimalloc: the main heap: live "
  , testCase "the process" $ do
      info <- getProcessInfo
      assertBool (show info) (processInfoPeakRSS info > 1000000 && processInfoCurrentRSS info > 0
        && processInfoPeakCommit info >= processInfoCurrentCommit info && processInfoUserMsecs info >= 0)
  , testCase "collectForce gives memory back" $ do
      ps <- replicateM 200 (mi_malloc 500000)
      forM_ ps $ \p -> fillBytes p 1 500000
      during <- processInfoCurrentRSS <$> getProcessInfo
      mapM_ mi_free ps
      collect
      collectForce
      after <- processInfoCurrentRSS <$> getProcessInfo
      assertBool (show (during, after)) (after < during - 80000000)
  , testCase "version" $ do
      v <- getMimallocVersion
      v @?= mimallocVersion
      assertBool (show v) (v > 0)
  ]
  where
    units = ["B", "KiB", "MiB", "GiB"]
    sizes = iterate (* 1024) 1 :: [Double]
    quiet = collectAll >> getStats
    allEqual xs = and (zipWith (==) xs (drop 1 xs))

-- | For Api.Child.
things :: [(String, IO ())]
things =
  [ ("print statistics", runOnCapability 0 $ do
      ps <- replicateM 1000 (mi_malloc 100)
      withHeap $ \h -> nameHeap h "cache" >> withHeapMallocBytes h 100000 (const printStats)
      mapM_ mi_free ps)
  , ("print a heap", withHeap $ \h -> do
      nameHeap h "cache"
      ps <- replicateM 3 (heapMallocForeignPtrBytes h 5000)
      printHeap h
      printMainHeap
      mapM_ touchForeignPtr ps)
  , ("print without descriptors", do
      limits <- getResourceLimit ResourceOpenFiles
      setResourceLimit ResourceOpenFiles limits { softLimit = ResourceLimit 0 }
      printStats)
  ]

-- The names of a record's fields, as C writes them.
fields :: Show a => String -> a -> [String]
fields prefix record =
  [ snake name | w <- words (show record), Just name <- [stripPrefix prefix (dropWhile (== '{') w)] ]
  where
    snake name = case concatMap (\c -> if isUpper c then ['_', toLower c] else [c]) name of
      '_' : rest -> rest
      other -> other

-- ---- JSON, as much of it as there is here

data Json = Number Int | Text String | Array [Json] | Object [(String, Json)] deriving (Eq, Show)

-- All of it, or an exception.
json :: B.ByteString -> Json
json s = case readP_to_S (value <* eof) (B.unpack s) of
  [(j, "")] -> j
  _ -> error ("no JSON: " ++ B.unpack s)
  where
    value = choice [Number . read <$> munch1 isDigit, Text <$> text
                   , Array <$> list '[' value ']', Object <$> list '{' member '}']
    member = (,) <$> text <* char ':' <*> value
    text = char '"' *> munch (/= '"') <* char '"'
    list open item close = char open *> sepBy item (char ',') <* char close

members :: Json -> [(String, Json)]
members j = case j of { Object ms -> ms; _ -> error ("no object: " ++ show j) }

elements :: Json -> [Json]
elements j = case j of { Array es -> es; _ -> error ("no array: " ++ show j) }

number :: Json -> Int
number j = case j of { Number n -> n; _ -> error ("no number: " ++ show j) }

(!) :: Json -> String -> Json
j ! name = maybe (error ("no " ++ name ++ ": " ++ show j)) id (lookup name (members j))
