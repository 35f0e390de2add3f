-- |
-- Storable vectors that grow in place where they can: the part of "Mimalloc.Vector" that is about them.
--
-- >>> import Mimalloc.Vector.Growable
-- >>> v <- newGrowable 0 :: IO (Growable Int)
-- >>> mapM_ (push v) [1 .. 5]
-- >>> takeVector v
-- [1,2,3,4,5]
--
-- @since 0.1.0.0
module Mimalloc.Vector.Growable
  ( Growable
  , newGrowable
    -- * Sizes
  , growableLength
  , growableCapacity
  , reserve
  , truncateGrowable
    -- * Elements
  , readGrowable
  , writeGrowable
  , modifyGrowable
  , push
  , pop
  , extend
  , forGrowable
  , foldGrowable
    -- * As vectors and byte strings
  , takeVector
  , freezeGrowable
  , takeGrowable
  , appendGrowable
  ) where

import Mimalloc.ByteString (appendGrowable, takeGrowable)
import Mimalloc.Vector
