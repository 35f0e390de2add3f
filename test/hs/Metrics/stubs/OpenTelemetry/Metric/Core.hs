-- Signatures only, as hs-opentelemetry-api 1.0.0.0 has published them, of those fields that are used; nothing
-- here does anything.
module OpenTelemetry.Metric.Core where

import Data.Text (Text)
import OpenTelemetry.Attributes (Attributes)

data AdvisoryParameters = AdvisoryParameters

defaultAdvisoryParameters :: AdvisoryParameters
defaultAdvisoryParameters = undefined

newtype ObservableResult a = ObservableResult { observe :: a -> Attributes -> IO () }

newtype ObservableCallbackHandle = ObservableCallbackHandle { unregisterObservableCallback :: IO () }

newtype ObservableGauge a = ObservableGauge
  { observableGaugeRegisterCallback :: (ObservableResult a -> IO ()) -> IO ObservableCallbackHandle }

newtype ObservableCounter a = ObservableCounter
  { observableCounterRegisterCallback :: (ObservableResult a -> IO ()) -> IO ObservableCallbackHandle }

data Meter = Meter
  { meterCreateObservableGaugeDouble
      :: !(Text -> Maybe Text -> Maybe Text -> AdvisoryParameters -> [ObservableResult Double -> IO ()]
           -> IO (ObservableGauge Double))
  , meterCreateObservableCounterDouble
      :: !(Text -> Maybe Text -> Maybe Text -> AdvisoryParameters -> [ObservableResult Double -> IO ()]
           -> IO (ObservableCounter Double))
  }
