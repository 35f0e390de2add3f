-- Signatures only, as ekg-core 0.1.1.8 has published them; nothing here does anything.
module System.Metrics where

import Data.HashMap.Strict (HashMap)
import Data.Int (Int64)
import Data.Text (Text)

data Store = Store

-- Its fourth, Distribution, is left out.
data Value = Counter !Int64 | Gauge !Int64 | Label !Text

registerGroup :: HashMap Text (a -> Value) -> IO a -> Store -> IO ()
registerGroup = undefined
