{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE OverloadedStrings #-}
-- A service with sockets: warp, which keeps bodies of 4 to 260 KB, and its clients. bench/warp compiles this,
-- runs both and makes tables of it.
--
-- serve WHO MIB PORT answers each request with what its slot held, and keeps the request's body there; bodies
-- of MIB altogether.
--                             WHO: plain (bytestring's toStrict), mi (Mimalloc.ByteString.fromLazy),
--                             base (copied to base's malloc, with the finalizer free)
-- load PORT SLOTS COUNT       COUNT requests on eight connections; on stdout: seconds
module Main (main) where

import Control.Concurrent
import Control.Exception (evaluate, mask_)
import Control.Monad
import Data.Bits (shiftR, (.&.))
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Char8 as Char8
import qualified Data.ByteString.Internal as Internal
import qualified Data.ByteString.Lazy as Lazy
import qualified Data.ByteString.Unsafe as Unsafe
import Data.IORef
import Data.Maybe (fromMaybe)
import qualified Data.Vector.Mutable as Vector
import Foreign.ForeignPtr (newForeignPtr)
import Foreign.Marshal.Alloc (finalizerFree, mallocBytes)
import Foreign.Marshal.Utils (copyBytes)
import Foreign.Ptr (castPtr, plusPtr)
import GHC.Clock (getMonotonicTime)
import Network.HTTP.Types (status200)
import Network.Socket
import Network.Socket.ByteString (recv, sendMany)
import Network.Wai (rawPathInfo, responseLBS, strictRequestBody)
import Network.Wai.Handler.Warp (defaultSettings, runSettings, setHost, setPort)
import System.Environment (getArgs)
import System.Exit (die)
import System.IO.Unsafe (unsafePerformIO)

import qualified Mimalloc.ByteString as Mi

main :: IO ()
main = getArgs >>= \args -> case args of
  ["serve", who, mib, port] | Just strict <- lookup who servers ->
    serve strict (slotsFor (read mib)) (read port)
  ["load", port, mib, count] -> load (read port) (slotsFor (read mib)) (read count)
  _ -> die "see the head of bench/hs/Warp.hs"
  where
    slotsFor mib = mib * 1048576 `quot` 135168 :: Int
    servers = [("plain", Lazy.toStrict), ("mi", Mi.fromLazy), ("base", mallocked)]

-- As Lazy.toStrict.
mallocked :: Lazy.ByteString -> ByteString.ByteString
mallocked body = unsafePerformIO $ mask_ $ do
  let n = fromIntegral (Lazy.length body)
  p <- mallocBytes n
  foldM_ (\to s -> (to `plusPtr` ByteString.length s) <$
    Unsafe.unsafeUseAsCStringLen s (\(from, k) -> copyBytes to (castPtr from) k)) p (Lazy.toChunks body)
  (\fp -> Internal.fromForeignPtr fp 0 n) <$> newForeignPtr finalizerFree p

serve :: (Lazy.ByteString -> ByteString.ByteString) -> Int -> Int -> IO ()
serve strict count port = do
  slots <- Vector.replicate count ByteString.empty
  runSettings (setHost "127.0.0.1" (setPort port defaultSettings)) $ \request answer -> do
    let slot = maybe 0 fst (Char8.readInt (ByteString.drop 1 (rawPathInfo request)))
    body <- strictRequestBody request >>= evaluate . strict
    old <- Vector.read slots slot
    Vector.write slots slot body
    answer (responseLBS status200 [("Content-Length", Char8.pack (show (ByteString.length old)))]
      (Lazy.fromStrict old))

load :: Int -> Int -> Int -> IO ()
load port slots count = do
  next <- newIORef (0 :: Int)
  began <- getMonotonicTime
  ends <- replicateM 8 $ do
    end <- newEmptyMVar
    end <$ forkIO (client next >>= putMVar end)
  mapM_ takeMVar ends
  ended <- getMonotonicTime
  print (ended - began)
  where
    client next = do
      s <- socket AF_INET Stream defaultProtocol
      connect s (SockAddrInet (fromIntegral port) (tupleToHostAddress (127, 0, 0, 1)))
      setSocketOption s NoDelay 1
      let go = atomicModifyIORef' next (\n -> (n + 1, n)) >>= \i -> when (i < count) $ request s i >> go
      go
      close s
    request s i = do
      let slot = mixed i `rem` slots
          size = 4096 + mixed (i + 1) `rem` 262144
      sendMany s [Char8.pack ("POST /" ++ show slot ++ " HTTP/1.1\r\nHost: here\r\nContent-Length: "
        ++ show size ++ "\r\n\r\n"), ByteString.take size everything]
      answered s
    mixed i = (i * 6364136223846793005 + 1442695040888963407) `shiftR` 33 .&. 0x3fffffff
    everything = ByteString.replicate 300000 65

-- Reads one answer, which has a length.
answered :: Socket -> IO ()
answered s = start ByteString.empty
  where
    start got = case ByteString.breakSubstring "\r\n\r\n" got of
      (headers, rest) | ByteString.null rest -> more >>= start . ByteString.append got
                      | otherwise -> body (len headers - (ByteString.length rest - 4))
    body !n = when (n > 0) $ more >>= body . (n -) . ByteString.length
    more = recv s 65536 >>= \b -> if ByteString.null b then die "the service is gone" else pure b
    len headers = fst (fromMaybe (0, "")
      (Char8.readInt (ByteString.drop 16 (snd (ByteString.breakSubstring "Content-Length: " headers)))))
