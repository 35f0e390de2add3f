-- The metrics of Mimalloc.Metrics for the package prometheus-client (1.1): once, at the start of the program,
--
-- > registerMimalloc
--
-- and they are in what exportMetricsAsText gives.
module PrometheusClient (mimalloc, registerMimalloc) where

import qualified Data.ByteString.Char8 as Char8
import Data.Text (Text)
import Data.Text.Encoding (decodeUtf8)
import qualified Mimalloc.Metrics as Mi
import Prometheus

registerMimalloc :: IO ()
registerMimalloc = register mimalloc

-- Its own counters and gauges are not used: each collection is one pass of getMetrics.
mimalloc :: Metric ()
mimalloc = Metric (pure ((), map group <$> Mi.getMetrics))
  where
    group m = SampleGroup (Info name (decodeUtf8 (Mi.metricHelp m))) (kind m)
      (concatMap samples (Mi.metricSamples m))
      where
        name = decodeUtf8 (Mi.sampleName m)
        samples s = case Mi.sampleValue s of
          Mi.Whole n -> [line mempty [] n]
          Mi.Real x -> [line mempty [] x]
          Mi.Distribution limits n total ->
            [ bucket (show l) k | (l, k) <- limits ]
              ++ [bucket "+Inf" n, line (decodeUtf8 (Char8.pack "_count")) [] n
                 , line (decodeUtf8 (Char8.pack "_sum")) [] total]
          where
            bucket l = line (decodeUtf8 (Char8.pack "_bucket")) [(Char8.pack "le", Char8.pack l)]
            line :: Show a => Text -> [(Char8.ByteString, Char8.ByteString)] -> a -> Sample
            line end more v = Sample (name <> end)
              [ (decodeUtf8 l, decodeUtf8 x) | (l, x) <- Mi.sampleLabels s ++ more ] (Char8.pack (show v))
    kind m = case Mi.metricKind m of
      Mi.KindGauge -> GaugeType
      Mi.KindCounter -> CounterType
      Mi.KindHistogram -> HistogramType
