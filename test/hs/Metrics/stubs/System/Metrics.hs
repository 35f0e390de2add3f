-- Signatures as ekg-core 0.1.1.8 has published them; a store has one group, that of the last registerGroup.
module System.Metrics where

import Data.HashMap.Strict (HashMap (..))
import Data.Int (Int64)
import Data.IORef (IORef, newIORef, readIORef, writeIORef)
import Data.Text (Text)

newtype Store = Store (IORef (IO Sample))

type Sample = HashMap Text Value

-- Its fourth, Distribution, is left out.
data Value = Counter !Int64 | Gauge !Int64 | Label !Text deriving (Eq, Show)

newStore :: IO Store
newStore = Store <$> newIORef (pure (HashMap []))

registerGroup :: HashMap Text (a -> Value) -> IO a -> Store -> IO ()
registerGroup (HashMap kfs) act (Store group) =
  writeIORef group ((\a -> HashMap [ (k, f a) | (k, f) <- kfs ]) <$> act)

sampleAll :: Store -> IO Sample
sampleAll (Store group) = readIORef group >>= id
