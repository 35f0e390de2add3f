{-# LANGUAGE MagicHash #-}
{-# LANGUAGE TemplateHaskellQuotes #-}
-- |
-- A file as a part of the program: at run time there is no place where it would surely be found.
module Mimalloc.Live.Embed
  ( embedded
  ) where

import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Unsafe as Unsafe
import GHC.Exts (Addr#)
import Language.Haskell.TH.Syntax (Exp (..), Lit (..), Q, addDependentFile, runIO)
import System.IO.Unsafe (unsafePerformIO)

-- | The bytes of a file, whose path is relative to the package.
embedded :: FilePath -> Q Exp
embedded path = do
  addDependentFile path
  bytes <- runIO (ByteString.readFile path)
  let count = IntegerL (fromIntegral (ByteString.length bytes))
      literal = StringPrimL (ByteString.unpack bytes)
  pure (VarE 'packed `AppE` LitE count `AppE` LitE literal)

packed :: Int -> Addr# -> ByteString
packed n p = unsafePerformIO (Unsafe.unsafePackAddressLen n p)
