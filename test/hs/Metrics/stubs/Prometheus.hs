-- Signatures only, as prometheus-client 1.1.1 has published them; nothing here does anything.
module Prometheus where

import Control.Monad.IO.Class (MonadIO)
import Data.ByteString (ByteString)
import Data.Text (Text)

data Info = Info { metricName :: Text, metricHelp :: Text }

type LabelPairs = [(Text, Text)]

data SampleType = CounterType | GaugeType | SummaryType | HistogramType | UntypedType

data Sample = Sample Text LabelPairs ByteString

data SampleGroup = SampleGroup Info SampleType [Sample]

newtype Metric s = Metric { construct :: IO (s, IO [SampleGroup]) }

register :: MonadIO m => Metric s -> m s
register = undefined
