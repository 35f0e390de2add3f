-- |
-- Lazy byte strings outside GHC's heap, and what builders make: the part of "Mimalloc.ByteString" that is
-- about them.
--
-- >>> import qualified Data.ByteString.Builder as B
-- >>> import Mimalloc.ByteString.Lazy
-- >>> toLazyByteString (B.intDec 42 <> B.string7 " is the answer")
-- "42 is the answer"
--
-- @since 0.1.0.0
module Mimalloc.ByteString.Lazy
  ( -- * Reading
    readFileLazy
  , hGetContentsLazy
  , hGetLazy
  , hGetNonBlockingLazy
    -- * Conversions
  , copyLazy
  , fromLazy
  , toLazy
    -- * Builders
  , mallocStrategy
  , toLazyByteString
  , toStrictByteString
  ) where

import Mimalloc.ByteString
