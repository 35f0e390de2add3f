-- The metrics of Mimalloc.Metrics for the package ekg-core (0.1.1): one group of a store, so that each
-- sampling is one pass of getMetrics. ekg has no labels and a fixed set of names, so what is told of single
-- heaps and of size classes is left out; whole numbers only, so seconds become milliseconds.
{-# LANGUAGE OverloadedStrings #-}
module Ekg (registerMimalloc) where

import qualified Data.ByteString.Char8 as Char8
import qualified Data.HashMap.Strict as HashMap
import Data.Maybe (fromMaybe)
import Data.Text.Encoding (decodeUtf8)
import qualified Mimalloc.Metrics as Mi
import System.Metrics (Store, Value (..), registerGroup)

registerMimalloc :: Store -> IO ()
registerMimalloc store = do
  names <- map fst <$> figures
  let known = [ (decodeUtf8 n, fromMaybe (Gauge 0) . lookup n) | n <- names ]
  registerGroup (HashMap.fromList known) figures store

figures :: IO [(Char8.ByteString, Value)]
figures = do
  metrics <- Mi.getMetricsWith Mi.defaultDetail { Mi.detailHeaps = 0 }
  pure [ (Char8.intercalate "." (name m : map snd (Mi.sampleLabels s)), kind m (value s))
       | m <- metrics, s <- Mi.metricSamples m, "block_bytes" `notElem` map fst (Mi.sampleLabels s) ]
  where
    name m = Mi.metricName m <> (if Mi.metricUnit m == "s" then "_milli" else "")
    kind m = case Mi.metricKind m of { Mi.KindGauge -> Gauge; Mi.KindCounter -> Counter }
    value s = case Mi.sampleValue s of { Mi.Whole n -> fromIntegral n; Mi.Real x -> round (1000 * x) }
