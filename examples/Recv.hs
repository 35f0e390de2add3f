-- What comes over a socket, in byte strings outside GHC's heap. The package network receives into any memory
-- (recvBuf), so two lines of our own are all there is to it. Not part of the library, which would need
-- network then.
--
-- Sends a message to itself, receives it in pieces, then as a whole, and says how many bytes came.
module Main (main, recv, recvExactly) where

import Control.Concurrent (forkIO)
import Control.Monad (void, when)
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import Foreign.Ptr (plusPtr)
import Network.Socket
  (Family (AF_UNIX), Socket, SocketType (Stream), close, defaultProtocol, recvBuf, socketPair)
import Network.Socket.ByteString (sendAll)
import System.Exit (die)

import qualified Mimalloc.ByteString as M

-- | What there is, at most so many bytes, at least one; empty when the other side has closed. As network's.
recv :: Socket -> Int -> IO ByteString
recv s most = M.createAndTrim most $ \p -> recvBuf s p most

-- | So many bytes, or fewer if the other side closes before.
recvExactly :: Socket -> Int -> IO ByteString
recvExactly s n = M.createAndTrim n (go 0)
  where
    go got p
      | got == n = pure n
      | otherwise = recvBuf s (p `plusPtr` got) (n - got) >>= \k ->
          if k == 0 then pure got else go (got + k) p

main :: IO ()
main = do
  (here, there) <- socketPair AF_UNIX Stream defaultProtocol
  let message = ByteString.replicate 1000000 7
  void $ forkIO $ sendAll there message >> sendAll there message >> close there
  whole <- recvExactly here 1000000
  pieces <- receiveAll here
  close here
  when (whole /= message || ByteString.concat pieces /= message) $ die "something else came"
  putStrLn (show (ByteString.length whole) ++ " bytes, and as many in pieces")

receiveAll :: Socket -> IO [ByteString]
receiveAll s = recv s 65536 >>= \b -> if ByteString.null b then pure [] else (b :) <$> receiveAll s
