-- | What a program calls to get back what sleeping and disabled capabilities hold, and to have no collections
-- asked for. The one place to change when there are better calls.
module Memory.Drain
  ( drain
  , inBackground
  , noPressure
  ) where

import Mimalloc.Capability
import Mimalloc.Pressure

-- | All capabilities, at once.
drain :: IO ()
drain = drainAll

-- | Those that have done nothing for a while, at a pace, from now on.
inBackground :: IO ()
inBackground = startDraining 200000

-- | No collections are asked for because of bytes in foreign pointers.
noPressure :: IO ()
noPressure = setPressure PressureOff
