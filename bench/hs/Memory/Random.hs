-- | Sizes that are the same every time.
module Memory.Random
  ( Random
  , newRandom
  , between
  , octaves
  ) where

import Data.Bits (shiftL, shiftR, xor)
import Data.IORef
import Data.Word (Word64)

type Random = IORef Word64

newRandom :: Int -> IO Random
newRandom seed = newIORef (fromIntegral (seed + 1) * 88172645463325253)

next :: Random -> IO Int
next state = do
  r0 <- readIORef state
  let r1 = r0 `xor` (r0 `shiftL` 13)
      r2 = r1 `xor` (r1 `shiftR` 7)
      r = r2 `xor` (r2 `shiftL` 17)
  writeIORef state $! r
  pure (fromIntegral (r `shiftR` 11))

-- | Both ends included.
between :: Random -> Int -> Int -> IO Int
between state low high = (\r -> low + r `rem` (high - low + 1)) <$> next state

-- | As many in each octave from 2^low to 2^high.
octaves :: Random -> Int -> Int -> IO Int
octaves state low high = do
  least <- shiftL 1 <$> between state low (high - 1)
  between state least (2 * least - 1)
