-- | What a program calls to get back what sleeping and disabled capabilities hold. The one place to change when there are
-- better calls.
module Memory.Drain
  ( drain
  , inBackground
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
