-- The metrics of Mimalloc.Metrics for the package ekg-core (0.1.1): one group of a store, so that each
-- sampling is one pass of getMetrics. ekg has no labels and a fixed set of names, so what is told of single
-- heaps and of size classes is left out, and so are histograms; whole numbers only, so seconds become
-- milliseconds. A name is there from the start, with 0 until there is something to tell, but for
-- capabilities beyond those that are enabled at the start: call setNumCapabilities before.
{-# LANGUAGE OverloadedStrings #-}
module Ekg (registerMimalloc) where

import Control.Concurrent (getNumCapabilities)
import qualified Data.ByteString.Char8 as Char8
import qualified Data.HashMap.Strict as HashMap
import Data.Int (Int64)
import Data.Maybe (fromMaybe)
import Data.Text.Encoding (decodeUtf8)
import qualified Mimalloc.Metrics as Mi
import System.Metrics (Store, Value (..), registerGroup)

registerMimalloc :: Store -> IO ()
registerMimalloc store = do
  capabilities <- getNumCapabilities
  metrics <- pass
  let known = [ (decodeUtf8 n, fromMaybe (kind m 0) . lookup n) | m <- metrics, n <- names capabilities m ]
  registerGroup (HashMap.fromList known) (concatMap figures <$> pass) store

pass :: IO [Mi.Metric]
pass = filter (not . any isSizeClass . Mi.metricSamples) . filter ((/= Mi.KindHistogram) . Mi.metricKind)
  <$> Mi.getMetricsWith Mi.defaultDetail { Mi.detailHeaps = 0 }
  where isSizeClass = any ((== "block_bytes") . fst) . Mi.sampleLabels

figures :: Mi.Metric -> [(Char8.ByteString, Value)]
figures m =
  [ (name m (map snd (Mi.sampleLabels s)), kind m (value (Mi.sampleValue s))) | s <- Mi.metricSamples m ]
  where
    value v = case v of
      Mi.Whole n -> fromIntegral n
      Mi.Real x -> round (1000 * x)
      Mi.Distribution _ n _ -> fromIntegral n

-- Also of samples that may come later.
names :: Int -> Mi.Metric -> [Char8.ByteString]
names capabilities m = map fst (figures m) ++ map (name m . pure) later
  where
    later
      | begins "mimalloc_capability_" = numbers
      | begins "mimalloc_owner_" = map ("capability " <>) numbers ++ ["threads", "nobody"]
      | begins "mimalloc_heap_" = ["main", "other", "none"]
      | otherwise = []
    begins start = start `Char8.isPrefixOf` Mi.metricName m
    numbers = map (Char8.pack . show) [0 .. capabilities - 1]

name :: Mi.Metric -> [Char8.ByteString] -> Char8.ByteString
name m values = Char8.intercalate "." (Mi.metricName m <> unit : values)
  where unit = if Mi.metricUnit m == "s" then "_milli" else ""

kind :: Mi.Metric -> Int64 -> Value
kind m = case Mi.metricKind m of { Mi.KindCounter -> Counter; _ -> Gauge }
