{-# LANGUAGE OverloadedStrings #-}
-- | What it takes to tell a monitoring system everything, in a process of a thousand heaps.
module Costs.Scrape (scrapes) where

import Control.Exception (evaluate)
import Control.Monad
import Data.ByteString.Builder (toLazyByteString)
import qualified Data.ByteString.Lazy as Lazy
import Foreign.Marshal.Utils (fillBytes)

import Costs.Measure
import Mimalloc.Heap
import Mimalloc.Metrics
import Mimalloc.Stats (getStats)

-- | So many rounds of each.
scrapes :: Int -> IO ()
scrapes rounds = heaps 1000 $ interleaved "scrape" rounds
  [ Thing "1000 heaps, Prometheus" 1000 (time Prometheus defaultDetail)
  , Thing "1000 heaps, each of them shown, Prometheus" 1000 (time Prometheus full)
  , Thing "1000 heaps, each of them shown, OpenMetrics" 1000 (time OpenMetrics full)
  , Thing "1000 heaps, each of them shown, JSON" 1000 (time Json full)
  , Thing "1000 heaps, without the residence" 1000 (time Prometheus full { detailResidence = False })
  , Thing "1000 heaps, getStats alone" 1000 (nanoseconds (void getStats))
  ]
  where
    full = defaultDetail { detailHeaps = 1000 }
    time format detail = nanoseconds $ do
      metrics <- getMetricsWith detail
      void $ evaluate (Lazy.length (toLazyByteString (renderMetrics format metrics)))

-- So many heaps, with blocks of three sizes in each.
heaps :: Int -> IO () -> IO ()
heaps 0 act = act
heaps n act = withHeap $ \h -> block h 48 $ block h 1000 $ block h 20000 $ heaps (n - 1) act
  where block h size inside = withHeapMallocBytes h size $ \p -> fillBytes p 1 size >> inside
