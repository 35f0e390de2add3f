-- | What a program calls to get back what sleeping and disabled capabilities hold, and what it sets. The one place to change
-- when there are better calls.
module Memory.Drain
  ( drain
  , inBackground
  , noPressure
  ) where

import Control.Concurrent
import Control.Monad

import Mimalloc.Capability
import Mimalloc.Stats (collectForce)

-- | All capabilities, at once.
drain :: IO ()
drain = do
  n <- getNumCapabilities
  forM_ [0 .. n - 1] $ \c -> runOnCapability c collectForce
  reinitializeCapabilities

-- | All capabilities, at a pace, from now on.
inBackground :: IO ()
inBackground = void . forkIO . forever $ threadDelay 200000 >> drain

-- | No collections are asked for because of bytes in foreign pointers. Nobody asks yet.
noPressure :: IO ()
noPressure = pure ()
