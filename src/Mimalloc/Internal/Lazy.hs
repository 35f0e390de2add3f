-- |
-- Reading lazy byte strings: what "Mimalloc.ByteString" and "Mimalloc.ByteString.Lazy" have of it.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Lazy
  ( readFileLazy
  , hGetContentsLazy
  , hGetLazy
  , hGetNonBlockingLazy
  ) where

import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Lazy as Lazy
import Data.Word (Word8)
import Foreign.Ptr (Ptr)
import System.IO (Handle, IOMode (..), hClose, hGetBuf, hGetBufNonBlocking, hGetBufSome, openBinaryFile)
import System.IO.Unsafe (unsafeInterleaveIO)

import Mimalloc.Internal.Bytes (trimmed)
import Mimalloc.Internal.Error (negativeSize)

-- $setup
-- >>> import qualified Data.ByteString as ByteString
-- >>> import System.Directory (getTemporaryDirectory)
-- >>> import System.IO (IOMode (..), openBinaryFile, withBinaryFile)
-- >>> import qualified Mimalloc.ByteString as M

-- | A whole file, read when it is needed, in chunks of 32 KiB; closed at its end.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> M.readFileLazy (directory ++ "/mimalloc-example")
-- "some text"
--
-- @since 0.1.0.0
readFileLazy :: FilePath -> IO Lazy.ByteString
readFileLazy path = openBinaryFile path ReadMode >>= hGetContentsLazy

-- | The same of a handle, which is this function's from now on.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> openBinaryFile (directory ++ "/mimalloc-example") ReadMode >>= M.hGetContentsLazy
-- "some text"
--
-- @since 0.1.0.0
hGetContentsLazy :: Handle -> IO Lazy.ByteString
hGetContentsLazy h = Lazy.fromChunks <$> go
  where
    go = unsafeInterleaveIO $ do
      s <- trimmed "hGetContentsLazy" chunkBytes $ \p -> hGetBufSome h p chunkBytes
      if ByteString.null s then [] <$ hClose h else (s :) <$> go

-- | So many bytes of a handle, or fewer if it ends before, in chunks of up to 32 KiB. They are read now, as
-- bytestring does: the handle may be closed then.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> let both h = (,) <$> M.hGetLazy h 4 <*> M.hGetLazy h 100
-- >>> withBinaryFile (directory ++ "/mimalloc-example") ReadMode both
-- ("some"," text")
--
-- @since 0.1.0.0
hGetLazy :: Handle -> Int -> IO Lazy.ByteString
hGetLazy = chunked "hGetLazy" hGetBuf (<)

-- | What there is just now, at most so many bytes, in chunks of up to 32 KiB; empty if there is nothing.
--
-- >>> directory <- getTemporaryDirectory
-- >>> ByteString.writeFile (directory ++ "/mimalloc-example") "some text"
-- >>> withBinaryFile (directory ++ "/mimalloc-example") ReadMode (`M.hGetNonBlockingLazy` 100)
-- "some text"
--
-- @since 0.1.0.0
hGetNonBlockingLazy :: Handle -> Int -> IO Lazy.ByteString
hGetNonBlockingLazy = chunked "hGetNonBlockingLazy" hGetBufNonBlocking (\got _ -> got == 0)

-- Up to so many bytes; until a read, of so many of so many bytes, was the last.
chunked
  :: String -> (Handle -> Ptr Word8 -> Int -> IO Int) -> (Int -> Int -> Bool) -> Handle -> Int
  -> IO Lazy.ByteString
chunked name get isLast h n = if n < 0 then negativeSize name n else Lazy.fromChunks . reverse <$> go [] n
  where
    go got 0 = pure got
    go got more = do
      let room = min chunkBytes more
      s <- trimmed name room $ \p -> get h p room
      if ByteString.length s `isLast` room then pure (s : got) else go (s : got) (more - ByteString.length s)

chunkBytes :: Int
chunkBytes = 32768
