-- The metrics of Mimalloc.Metrics for the package prometheus-client (1.1): once, at the start of the program,
--
-- > registerMimalloc
--
-- and they are in what exportMetricsAsText gives.
module PrometheusClient (mimalloc, registerMimalloc) where

import qualified Data.ByteString.Char8 as Char8
import Data.Text.Encoding (decodeUtf8)
import qualified Mimalloc.Metrics as Mi
import Prometheus

registerMimalloc :: IO ()
registerMimalloc = register mimalloc

-- Its own counters and gauges are not used: each collection is one pass of getMetrics.
mimalloc :: Metric ()
mimalloc = Metric (pure ((), map group <$> Mi.getMetrics))
  where
    group m = SampleGroup info (kind m) (map sample (Mi.metricSamples m))
      where
        name = decodeUtf8 (Mi.sampleName m)
        info = Info name (decodeUtf8 (Mi.metricHelp m))
        sample s = Sample name [ (decodeUtf8 l, decodeUtf8 v) | (l, v) <- Mi.sampleLabels s ]
          (Char8.pack (value (Mi.sampleValue s)))
    kind m = case Mi.metricKind m of
      Mi.KindGauge -> GaugeType
      Mi.KindCounter -> CounterType
    value v = case v of
      Mi.Whole n -> show n
      Mi.Real x -> show x
