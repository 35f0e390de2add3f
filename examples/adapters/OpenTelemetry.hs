-- The metrics of Mimalloc.Metrics for the package hs-opentelemetry-api (1.0): an observable gauge or counter
-- each, with the labels as attributes; histograms cannot be observed there, and are left out.
module OpenTelemetry (registerMimalloc) where

import Control.Concurrent.MVar (modifyMVar, newMVar)
import Control.Monad (forM, forM_)
import Data.Text.Encoding (decodeUtf8)
import GHC.Clock (getMonotonicTimeNSec)
import qualified Mimalloc.Metrics as Mi
import OpenTelemetry.Attributes (addAttribute, defaultAttributeLimits, emptyAttributes)
import OpenTelemetry.Metric.Core

registerMimalloc :: Meter -> IO [ObservableCallbackHandle]
registerMimalloc meter = do
  recent <- sharedPass
  metrics <- filter ((/= Mi.KindHistogram) . Mi.metricKind) <$> recent
  forM metrics $ \m -> do
    let text field = decodeUtf8 (field m)
        mine = concatMap Mi.metricSamples . filter ((== Mi.metricName m) . Mi.metricName)
        observed result = recent >>= \ms -> forM_ (mine ms) $ \s ->
          observe result (number (Mi.sampleValue s)) (attributes (Mi.sampleLabels s))
        with create = create meter (text Mi.metricName) (Just (text Mi.metricUnit))
          (Just (text Mi.metricHelp)) defaultAdvisoryParameters []
    case Mi.metricKind m of
      Mi.KindCounter -> with meterCreateObservableCounterDouble
        >>= \counter -> observableCounterRegisterCallback counter observed
      _ -> with meterCreateObservableGaugeDouble
        >>= \gauge -> observableGaugeRegisterCallback gauge observed
  where
    attributes = foldr add emptyAttributes
    add (l, v) as = addAttribute defaultAttributeLimits as (decodeUtf8 l) (decodeUtf8 v)
    number v = case v of
      Mi.Whole n -> fromIntegral n
      Mi.Real x -> x
      Mi.Distribution _ n _ -> fromIntegral n

-- All instruments are asked one after the other: one pass, of the last second, serves all of them.
sharedPass :: IO (IO [Mi.Metric])
sharedPass = do
  kept <- newMVar (0, [])
  pure $ modifyMVar kept $ \(time, ms) -> do
    now <- getMonotonicTimeNSec
    if not (null ms) && now - time < 1000000000 then pure ((time, ms), ms) else do
      fresh <- Mi.getMetrics
      pure ((now, fresh), fresh)
