{-# LANGUAGE OverloadedStrings #-}
-- What metrics are written as, read by strict parsers; and what they are called.
module Metrics.Formats (tests, things) where

import Control.Concurrent
import Control.Monad
import Data.ByteString (ByteString)
import Data.ByteString.Builder (toLazyByteString)
import qualified Data.ByteString.Char8 as Char8
import qualified Data.ByteString.Lazy as Lazy
import Data.List (isInfixOf, isPrefixOf, isSuffixOf, nub, sort, (\\))
import Foreign.C.Types (CSize (..))
import Foreign.ForeignPtr (finalizeForeignPtr, touchForeignPtr)
import Foreign.Ptr (nullPtr)
import System.Directory (createDirectoryIfMissing)
import System.Exit (ExitCode (..))
import System.Process (readProcessWithExitCode)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit

import Api.Child
import Metrics.Parse
import Mimalloc
import Mimalloc.Heap
import Mimalloc.Metrics
import Mimalloc.Pressure
import Mimalloc.Stats

-- | The path of promtool, if it is there.
tests :: Maybe FilePath -> TestTree
tests promtool = testGroup "formats" $
  [ testCase "each format says what the metrics are" $ do
      ms <- filter (not . null . metricSamples) <$> someMetrics
      parsed prometheus Prometheus ms >>= (@?= map (told sampleName "") ms)
      parsed openMetrics OpenMetrics ms >>= (@?= [ told metricName (inWords m) m | m <- ms ])
      parsed json Json ms >>= (@?= [ (told metricName (utf8 (metricUnit m)) m)
        { familyLines = [ if metricKind m == KindHistogram then l else l { lineName = utf8 (metricName m) }
                        | l <- familyLines (told metricName "" m) ] }
        | m <- ms ])
  , testCase "what scrapes answer" $ do
      scrape Prometheus >>= succeeds . prometheus
      scrape OpenMetrics >>= succeeds . openMetrics
      scrapeLazy Json >>= succeeds . json . Lazy.toStrict
      length (nub (map contentType [minBound ..])) @?= 3
  , testCase "the same metrics in each call" $ do
      names <- map metricName <$> getMetrics
      again <- someMetrics
      map metricName again @?= names
      assertBool "too few" (length names > 40)
  , testCase "no metrics, none with samples" $ do
      let empty = strange { metricSamples = [] }
      map (\f -> rendered f [empty]) [Prometheus, OpenMetrics] @?= ["", "# EOF\n"]
      map (\f -> rendered f []) [Prometheus, OpenMetrics, Json]
        @?= ["", "# EOF\n", "{\"version\":1,\"metrics\":[]}\n"]
  , testCase "names and units" $ someMetrics >>= mapM_ named
  , testCase "no duplicates" $ do
      ms <- someMetrics
      let twice xs = xs \\ nub xs
      twice (map metricName ms) @?= []
      -- no sample may have the name of another family
      twice (map sampleName ms ++ [ metricName m | m <- ms, metricKind m == KindCounter ]) @?= []
      forM_ ms $ \m -> twice (map (sort . sampleLabels) (metricSamples m)) @?= []
      forM_ ms $ \m -> forM_ (metricSamples m) $ \s ->
        take 1 (map (map fst . sampleLabels) (metricSamples m)) @?= [map fst (sampleLabels s)]
  , testCase "escapes" $ do
      rendered Prometheus [strange] @?= Char8.unlines
        [ "# HELP strange_blocks a \\\\ \"b\" \\n c \195\164", "# TYPE strange_blocks gauge"
        , "strange_blocks{kind=\"a \\\\ \\\"b\\\" \\n c \195\164\",x=\"\"} -1" ]
      rendered OpenMetrics [strange] @?= Char8.unlines
        [ "# TYPE strange_blocks gauge", "# HELP strange_blocks a \\\\ \\\"b\\\" \\n c \195\164"
        , "strange_blocks{kind=\"a \\\\ \\\"b\\\" \\n c \195\164\",x=\"\"} -1", "# EOF" ]
      let controls = strange { metricHelp = "\t\r\1\127\"" }
      rendered Json [controls { metricSamples = [] }] @?=
        "{\"version\":1,\"metrics\":[{\"name\":\"strange_blocks\","
        <> "\"unit\":\"1\",\"help\":\"\\u0009\\u000d\\u0001\127\\\"\",\"kind\":\"gauge\",\"samples\":[]}]}\n"
      forM_ [strange, controls] $ \m -> do
        parsed prometheus Prometheus [m] >>= (@?= [told sampleName "" m])
        parsed openMetrics OpenMetrics [m] >>= (@?= [told metricName "" m])
        parsed json Json [m] >>= (@?= [told metricName "1" m])
  , testCase "a histogram" $ do
      let lives = Metric "lives_seconds" "s" "H." KindHistogram
            [Sample [("kind", "a")] (Distribution [(0.01, 1), (16, 2)] 4 1.5)]
          said = Char8.unlines
            [ "lives_seconds_bucket{kind=\"a\",le=\"0.01\"} 1"
            , "lives_seconds_bucket{kind=\"a\",le=\"16.0\"} 2"
            , "lives_seconds_bucket{kind=\"a\",le=\"+Inf\"} 4", "lives_seconds_count{kind=\"a\"} 4"
            , "lives_seconds_sum{kind=\"a\"} 1.500000000" ]
      sampleName lives @?= "lives_seconds"
      rendered Prometheus [lives]
        @?= "# HELP lives_seconds H.\n# TYPE lives_seconds histogram\n" <> said
      rendered OpenMetrics [lives]
        @?= "# TYPE lives_seconds histogram\n# UNIT lives_seconds seconds\n# HELP lives_seconds H.\n" <> said
          <> "# EOF\n"
      rendered Json [lives]
        @?= "{\"version\":1,\"metrics\":[{\"name\":\"lives_seconds\",\"unit\":\"s\",\"help\":\"H.\","
          <> "\"kind\":\"histogram\",\"samples\":[{\"labels\":{\"kind\":\"a\"},\"value\":{\"buckets\":"
          <> "[{\"le\":0.01,\"count\":1},{\"le\":16.0,\"count\":2}],\"count\":4,\"sum\":1.500000000}}]}]}\n"
      -- limits of any kind; no labels
      let small = lives
            { metricSamples = [Sample [] (Distribution [(0, 0), (1.0e-9, 0), (67108864, 1)] 1 3)] }
      take 3 (drop 2 (Char8.lines (rendered Prometheus [small]))) @?=
        [ "lives_seconds_bucket{le=\"0.0\"} 0", "lives_seconds_bucket{le=\"0.000000001\"} 0"
        , "lives_seconds_bucket{le=\"67108864.0\"} 1" ]
  , testCase "the profile, off: nothing but that there is none" $ do
      ms <- getMetrics
      [ metricName m | m <- ms, "mimalloc_profile_" `Char8.isPrefixOf` metricName m
                     , not (null (metricSamples m)) ]
        @?= [ "mimalloc_profile_samples", "mimalloc_profile_taken_samples", "mimalloc_profile_dropped_samples"
            , "mimalloc_profile_stacks" ]
  , testCase "the profile, on" $ forM_ formats $ \(format, parser) -> do
      (status, out, err) <- child [] ("profile " ++ show format)
      assertEqual (out ++ err) ExitSuccess status
      families <- either assertFailure pure (parser (Char8.pack out))
      let values name = [ read (lineValue l) :: Double | f <- families, l <- familyLines f
                        , lineName l == name ]
          bucket name le = [ read (lineValue l) :: Double | f <- families, l <- familyLines f
                           , lineName l == name ++ "_bucket", lookup "le" (lineLabels l) == Just le ]
          size = "mimalloc_profile_size_bytes"
          lifetime = "mimalloc_profile_lifetime_seconds"
          sumOf name = sum (values name)
          among what low high x = assertBool (what ++ show x) (x >= low && x <= high)
      values "mimalloc_profile_rate_bytes" @?= [4096]
      -- 20000 of 300 bytes, and 200 of 5000 that live: some 1400 and 140 samples
      among "sizes" 16000 24000 (sum (bucket size "1024.0") - sum (bucket size "256.0"))
      among "sizes" 140 260 (sum (bucket size "16384.0") - sum (bucket size "4096.0"))
      among "all" 16000 26000 (sumOf (size ++ "_count"))
      among "bytes" 5000000 10000000 (sumOf (size ++ "_sum"))
      among "freed" 16000 24000 (sumOf (lifetime ++ "_count"))
      bucket lifetime "86400.0" @?= values (lifetime ++ "_count")
      among "lived" 0 (600 * 24000) (sumOf (lifetime ++ "_sum"))
      among "live" 700000 2000000 (sumOf "mimalloc_profile_live_bytes")
  , testCase "what the limit refuses" $ do
      (status, out, err) <- child [("MIMALLOC_COMMIT_LIMIT", "64MiB")] "refused requests"
      assertEqual (out ++ err) ExitSuccess status
      out @?= "[0,3]\n[67108864]\n"
  , testCase "numbers" $ do
      let text v = rendered Prometheus [Metric "x" "1" "" KindGauge [Sample [] v]]
          number v = last (Char8.words (text v))
      map (number . Real) [0, 1.5, -0.25, 12.000000001, 1 / 0, -1 / 0]
        @?= ["0.000000000", "1.500000000", "-0.250000000", "12.000000001", "+Inf", "-Inf"]
      number (Real (0 / 0)) @?= "NaN"
      map (number . Whole) [0, -1, maxBound, minBound]
        @?= map (Char8.pack . show) [0, -1, maxBound, minBound :: Int]
      forM_ [1.0e-7, 1.0e-3, 0.1, 123456.789, 1.0e9, 1.5e12, 2.0e300] $ \x -> do
        let back = read (Char8.unpack (number (Real x))) :: Double
        assertBool (show (x, back)) (abs (x - back) <= 1.0e-9 * max 1 (abs x))
      rendered Json [Metric "x" "1" "" KindGauge [Sample [] (Real (1 / 0))]]
        @?= "{\"version\":1,\"metrics\":[{\"name\":\"x\",\"unit\":\"1\",\"help\":\"\",\"kind\":\"gauge\","
          <> "\"samples\":[{\"labels\":{},\"value\":null}]}]}\n"
  , testCase "counters only rise" $ do
      before <- someMetrics
      replicateM_ 100 (replicateM 200 (mallocForeignPtrBytes 3000) >>= mapM_ finalizeForeignPtr)
      after <- someMetrics
      let counters ms = [ ((sampleName m, sampleLabels s), sampleValue s)
                        | m <- ms, metricKind m == KindCounter, s <- metricSamples m ]
      assertBool "too few" (length (counters before) > 15)
      forM_ (counters before) $ \(key, v) -> case lookup key (counters after) of
        Nothing -> assertFailure (show key ++ " is gone")
        Just v' -> assertBool (show (key, v, v')) (v' >= v)
      assertBool "none rose" (counters before /= counters after)
  , testCase "no threshold where no collection is asked for" $ do
      let thresholds ms = concat
            [ metricSamples m | m <- ms, "mimalloc_pressure_next" `Char8.isPrefixOf` metricName m ]
      adaptive <- thresholds <$> getMetrics
      setPressure PressureOff
      off <- thresholds <$> getMetrics
      stats <- pressureStats
      setPressure PressureAdaptive
      assertBool (show adaptive) (length adaptive == 2 && all ((> Whole 0) . sampleValue) adaptive)
      (off, pressureNextBytes stats, pressureNextMajorBytes stats) @?= ([], 0, 0)
  , testCase "parts add up to totals" $ do
      let groups = ["size_class", "owner", "heap"]
      p <- mi_malloc 700000000                        -- in no heap
      q <- mi_malloc 1000
      ms <- withHeap $ \h -> withHeapMallocBytes h 100000 $ const getMetrics
      mi_free q >> mi_free p
      forM_ [ (g, w) | g <- groups, w <- ["live_bytes", "live_blocks", "pages"] ] $ \(group, what) ->
        assertEqual (show (group, what)) (figures ("mimalloc_" <> what) ms)
          [sum (figures ("mimalloc_" <> group <> "_" <> what) ms)]
      let page_bytes = [ sum (figures ("mimalloc_" <> group <> "_page_bytes") ms)
                       | group <- groups ]
      length (nub page_bytes) @?= 1
      assertBool (show page_bytes) (all (>= sum (figures "mimalloc_live_bytes" ms)) page_bytes)
      figures "mimalloc_process_resident_bytes" ms @?= [sum (figures "mimalloc_resident_bytes" ms)]
  , testCase "the figures are those of getStats" $ do
      s <- getStats
      ms <- getMetrics
      pressure <- pressureStats
      let near a b = assertBool (show (a, b)) (and [ abs (x - y) <= 1000000 | x <- a, y <- b ])
      near [gaugeLiveBytes (statsGauges s)] (figures "mimalloc_live_bytes" ms)
      near [pressureHeldBytes pressure] (figures "mimalloc_pressure_held_bytes" ms)
      near [gaugeReservedBytes (statsGauges s)] (figures "mimalloc_reserved_bytes" ms)
  , testCase "the largest heaps are shown, the others summed up" $ nested 12 $ do
      ms <- getMetricsWith defaultDetail { detailHeaps = 3 }
      let names = [ v | m <- ms, metricName m == "mimalloc_heap_live_bytes", s <- metricSamples m
                      , (_, v) <- sampleLabels s ]
      length (filter (`notElem` ["main", "other", "none"]) names) @?= 3
      assertBool (show names) ("main" `elem` names && "other" `elem` names)
      let shown = [ v | (h, v) <- zip names (figures "mimalloc_heap_live_bytes" ms)
                      , h `notElem` ["main", "other", "none"] ]
      assertBool (show shown) (all (>= 10 * 100000) shown)
      [sum (figures "mimalloc_heap_live_bytes" ms)] @?= figures "mimalloc_live_bytes" ms
      none <- getMetricsWith defaultDetail { detailHeaps = 0, detailResidence = False }
      figures "mimalloc_resident_bytes" none @?= []
      assertBool "resident" (all (> 0) (figures "mimalloc_process_resident_bytes" none))
      assertBool "few" (length (figures "mimalloc_heap_live_bytes" none) <= 3)
  , testCase "heaps of one name are shown together" $ do
      let names = ["a \8364", "a \8364", "b", "1x", "main", "77", "none", "other"]
      blocks <- forM names $ \name -> newNamedHeap name >>= (`heapMallocForeignPtrBytes` 70000)
      numbers <- statsHeapNames <$> getStats
      ms <- getMetrics
      mapM_ touchForeignPtr blocks
      let of_ what = [ (v, n) | m <- ms, metricName m == "mimalloc_heap_" <> what, s <- metricSamples m
                              , (_, v) <- sampleLabels s, Whole n <- [sampleValue s] ]
          labels = map fst (of_ "pages")
      forM_ [("pages", [2, 1, 1]), ("live_blocks", [2, 1, 1]), ("page_bytes", [262144, 131072, 131072])] $
        \(what, ns) ->
          map (`lookup` of_ what) ["a \226\130\172", "b", "1x"] @?= map Just ns
      nub labels @?= labels
      -- What could be taken for something else has its number.
      forM_ numbers $ \(heap, name) -> case heap of
        HeapNumber n -> (Char8.pack (show n) `elem` labels) @?= (name `elem` ["main", "77", "none", "other"])
        MainHeap -> assertFailure "it has no name"
  , testCase "while others allocate" $ do
      workers <- forM [1 .. 3 :: Int] $ \i -> forkIO
        (forever (replicateM 50 (mallocForeignPtrBytes (i * 100)) >>= mapM_ finalizeForeignPtr >> yield))
      replicateM_ 8 $ do
        scrape Prometheus >>= succeeds . prometheus
        scrape OpenMetrics >>= succeeds . openMetrics
      mapM_ killThread workers
  ] ++ [ testCase "promtool check metrics" $ do
          createDirectoryIfMissing True "build"
          text <- scrape Prometheus
          Char8.writeFile "build/metrics.txt" text
          (status, out, err) <- readProcessWithExitCode tool ["check", "metrics"] (Char8.unpack text)
          assertEqual (out ++ err) ExitSuccess status
          out ++ err @?= ""
       | Just tool <- [promtool] ]

-- Metrics of a process that has done something.
someMetrics :: IO [Metric]
someMetrics = withMallocBytes 100000 $ \_ -> withHeap $ \h -> withHeapMallocBytes h 1000 $ const getMetrics

-- So many heaps, each with 100 KB more than the one before.
nested :: Int -> IO () -> IO ()
nested 0 act = act
nested n act = withHeap $ \h -> withHeapMallocBytes h (n * 100000) $ \_ -> nested (n - 1) act

formats :: [(Format, ByteString -> Either String [Family])]
formats = [(Prometheus, prometheus), (OpenMetrics, openMetrics), (Json, json)]

foreign import ccall "mi_profile_start" startProfile :: CSize -> IO ()

-- | For Api.Child.
things :: [(String, IO ())]
things =
  [ ("profile " ++ show format, do
      startProfile 4096
      live <- replicateM 200 (mi_malloc 5000)
      replicateM_ 20000 (mi_malloc 300 >>= mi_free)
      scrape format >>= Char8.putStr
      mapM_ mi_free live) | (format, _) <- formats ]
  ++ [ ("refused requests", do
      before <- getMetrics
      ps <- replicateM 3 (mi_malloc (100 * 1024 * 1024))
      unless (all (== nullPtr) ps) $ fail "there is memory"
      after <- getMetrics
      print (concatMap (figures "mimalloc_refused_requests") [before, after])
      print (figures "mimalloc_commit_limit_bytes" after)) ]

strange :: Metric
strange = Metric "strange_blocks" "1" odd_ KindGauge [Sample [("kind", odd_), ("x", "")] (Whole (-1))]
  where odd_ = "a \\ \"b\" \n c \195\164"

figures :: ByteString -> [Metric] -> [Int]
figures name ms = [ n | m <- ms, metricName m == name, s <- metricSamples m, Whole n <- [sampleValue s] ]

rendered :: Format -> [Metric] -> ByteString
rendered format = Lazy.toStrict . toLazyByteString . renderMetrics format

parsed :: (ByteString -> Either String a) -> Format -> [Metric] -> IO a
parsed parser format ms = either assertFailure pure (parser (rendered format ms))

succeeds :: Either String [Family] -> Assertion
succeeds = either assertFailure (\fs -> assertBool "too few" (length fs > 30))

utf8 :: ByteString -> String
utf8 = Char8.unpack

-- As a parser should find it.
told :: (Metric -> ByteString) -> String -> Metric -> Family
told name u m = Family (utf8 (name m)) kind_ u (utf8 (metricHelp m))
  (concatMap linesOf (metricSamples m))
  where
    linesOf s = case sampleValue s of
      Distribution limits n total ->
        [ line "_bucket" [("le", limit l)] (Whole k) | (l, k) <- limits ]
          ++ [ line "_bucket" [("le", "+Inf")] (Whole n), line "_count" [] (Whole n)
             , line "_sum" [] (Real total) ]
      v -> [line "" [] v]
      where
        line end more v = Line (lineOf ++ end) ([ (utf8 l, utf8 x) | (l, x) <- sampleLabels s ] ++ more)
          (written v)
    lineOf = if null u || u /= "1" then utf8 (sampleName m) else utf8 (metricName m)
    -- Those of ours are such as show writes, with a point.
    limit l = if l < 0.1 then "0.01" else if l < 1.0e7 then show l else show (round l :: Int) ++ ".0"
    kind_ = case metricKind m of
      KindGauge -> "gauge"
      KindCounter -> "counter"
      KindHistogram -> "histogram"
    written v = utf8 (last (Char8.words (rendered Prometheus [Metric "x" "1" "" KindGauge [Sample [] v]])))

inWords :: Metric -> String
inWords m = case metricUnit m of { "By" -> "bytes"; "s" -> "seconds"; _ -> "" }

-- Prometheus' and OpenMetrics' conventions.
named :: Metric -> Assertion
named m = do
  let name = utf8 (metricName m)
      ends = any (`isSuffixOf` name)
      ok what = assertBool (name ++ ": " ++ what)
      said = utf8 (metricHelp m)
  ok "letters" (all (`elem` '_' : ['a' .. 'z']) name && "mimalloc_" `isPrefixOf` name)
  ok "underscores" (not ("__" `isInfixOf` name) && last name /= '_')
  ok "reserved" (not (ends
    ["_total", "_count", "_sum", "_bucket", "_created", "_info", "_gauge", "_counter"]))
  ok "help" (said /= "" && last said == '.' && '\n' `notElem` said)
  case metricUnit m of
    "By" -> ok "bytes" ("_bytes" `isSuffixOf` name && all whole (metricSamples m))
    _ | metricKind m == KindHistogram -> ok "a histogram's unit" ("_seconds" `isSuffixOf` name)
    "s" -> ok "seconds" ("_seconds" `isSuffixOf` name && not (any whole (metricSamples m)))
    "1" -> ok "without unit" (not (ends ["_bytes", "_seconds"]) && all whole (metricSamples m))
    u -> assertFailure (name ++ ": unit " ++ show u)
  forM_ (concatMap (map fst . sampleLabels) (metricSamples m)) $ \l ->
    ok ("label " ++ utf8 l) (all (`elem` '_' : ['a' .. 'z']) (utf8 l)
      && l `notElem` ["le", "quantile", "job", "instance"] && not ("__" `isPrefixOf` utf8 l))
  where
    whole s = case sampleValue s of
      Whole n -> n >= 0
      Real _ -> False
      Distribution{} -> metricKind m == KindHistogram
