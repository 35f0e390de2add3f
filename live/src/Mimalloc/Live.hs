{-# LANGUAGE OverloadedStrings #-}
{-# LANGUAGE TemplateHaskell #-}
-- |
-- A page in the browser that shows where the program's memory is: what is resident and whose it is, what
-- each capability, heap and size class holds, what was asked of the garbage collector, and an arena slice by
-- slice.
--
-- > main = withLivePage 8123 service
--
-- prints an address to stderr, with a token. The numbers are those of "Mimalloc.Metrics".
--
-- * It is served on loopback, unless 'settingsAddress' says otherwise.
-- * What changes something (to drain, to purge, to collect garbage) wants the token, which is made of the
--   system's random bytes for each page. To look needs none: other users of the same machine may look.
-- * A request whose header @Host@ is none of the page's names is refused, so that no page from elsewhere
--   reads it by a name that it lets point to loopback (DNS rebinding). No other page may show it in a frame.
-- * The page asks for nothing from elsewhere.
--
-- While no page is open, or none is in front, the server waits, and nothing else is done: what a page shows
-- over time it has seen itself. A page asks once in a second, and less often where an answer takes more than
-- a tenth of that.
--
-- For a look from the terminal: @\/metrics@ (Prometheus' format), @\/metrics.json@, @\/arena.json@.
--
-- @since 0.1.0.0
module Mimalloc.Live
  ( withLivePage
    -- * Otherwise
  , withLivePageAt
  , Settings (..)
  , defaultSettings
  , LivePage (..)
  ) where

import Control.Concurrent
  (MVar, ThreadId, forkIOWithUnmask, killThread, modifyMVar_, newEmptyMVar, newMVar, putMVar, takeMVar
  , withMVar)
import Control.Exception
  (IOException, bracket, bracketOnError, displayException, finally, try, uninterruptibleMask_)
import Data.Bits (xor, (.|.))
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder (Builder, byteStringHex, stringUtf8, toLazyByteString)
import qualified Data.ByteString.Char8 as Char8
import qualified Data.ByteString.Lazy as Lazy
import Data.Char (isDigit, toLower)
import Data.Maybe (fromMaybe)
import Network.HTTP.Types
import Network.Socket
import Network.Wai
import Network.Wai.Handler.Warp (runSettingsSocket, setServerName)
import qualified Network.Wai.Handler.Warp as Warp
import System.IO (IOMode (ReadMode), hPutStrLn, stderr, withBinaryFile)
import System.Mem (performMajorGC)

import Mimalloc.Capability (drainAll)
import Mimalloc.Live.Arena
import Mimalloc.Live.Embed
import Mimalloc.Metrics
import Mimalloc.Stats (collectForce)

-- | Serves the page on that port of @127.0.0.1@ (0: one that is free) while the action runs. Its address and
-- the token are printed to stderr. Throws an 'IOError' if the port is taken.
--
-- @since 0.1.0.0
withLivePage :: Int -> IO a -> IO a
withLivePage port = withLivePageAt defaultSettings { settingsPort = port } . const

-- | Where it is served.
--
-- @since 0.1.0.0
data Settings = Settings
  { settingsPort     :: !Int       -- ^ 0: one that is free
  , settingsAddress  :: !String    -- ^ an address of this machine, in digits
  , settingsNames    :: [String]   -- ^ by which names browsers may ask, besides the address itself and
                                   --   @localhost@; without ports. Wanted where the address is @0.0.0.0@
  , settingsAnnounce :: LivePage -> IO ()  -- ^ what is done when it is there, before the action
  }

-- | Port 8123 of @127.0.0.1@; prints 'liveUrl' to stderr.
--
-- @since 0.1.0.0
defaultSettings :: Settings
defaultSettings = Settings
  { settingsPort = 8123
  , settingsAddress = "127.0.0.1"
  , settingsNames = []
  , settingsAnnounce = \page -> do
      -- The service begins also where nobody reads this.
      r <- try (hPutStrLn stderr ("mimalloc: live page at " ++ liveUrl page))
      either (\e -> const (pure ()) (e :: IOException)) pure r
  }

-- | A page that is served.
--
-- @since 0.1.0.0
data LivePage = LivePage
  { livePort  :: !Int
  , liveToken :: !ByteString  -- ^ goes into the header @X-Mimalloc-Token@
  , liveUrl   :: !String      -- ^ with the token, behind a @#@: so browsers do not send it
  } deriving (Eq, Show)

-- | The same as 'withLivePage', in other places.
--
-- @since 0.1.0.0
withLivePageAt :: Settings -> (LivePage -> IO a) -> IO a
withLivePageAt settings action = do
  token <- newToken
  bracket (listenAt settings) close $ \socket_ -> do
    port <- fromIntegral <$> socketPort socket_
    let page = LivePage { livePort = port, liveToken = token, liveUrl = url port token }
    settingsAnnounce settings page
    open <- newMVar True
    let server = runSettingsSocket (setServerName "" Warp.defaultSettings) socket_
          (guarded names (answer token open))
    bracket (fork server) (stop open) (const (action page))
  where
    url port token = "http://" ++ bracketed (settingsAddress settings) ++ ":" ++ show port ++ "/#"
      ++ Char8.unpack token
    names = map (Char8.pack . map toLower . bracketed)
      ("localhost" : settingsAddress settings : settingsNames settings)
    bracketed name = if ':' `elem` name && take 1 name /= "[" then "[" ++ name ++ "]" else name
    fork :: IO () -> IO (ThreadId, MVar ())
    fork server = do
      done <- newEmptyMVar
      thread <- forkIOWithUnmask (\unmask -> unmask server `finally` putMVar done ())
      pure (thread, done)
    -- What somebody asked for just now is waited for; connections that browsers keep may be there still.
    stop :: MVar Bool -> (ThreadId, MVar ()) -> IO ()
    stop open (thread, done) = uninterruptibleMask_ $ do
      killThread thread
      takeMVar done
      modifyMVar_ open (const (pure False))

-- An address in digits: no name is looked up.
listenAt :: Settings -> IO Socket
listenAt settings = do
  found <- getAddrInfo (Just hints) (Just (settingsAddress settings)) (Just (show (settingsPort settings)))
  case found of
    [] -> ioError (userError ("mimalloc: no address: " ++ settingsAddress settings))
    info : _ -> bracketOnError (openSocket info) close $ \s -> do
      setSocketOption s ReuseAddr 1
      withFdSocket s setCloseOnExecIfNeeded
      bind s (addrAddress info)
      listen s 64
      pure s
  where
    hints = defaultHints { addrFlags = [AI_NUMERICHOST, AI_NUMERICSERV, AI_PASSIVE], addrSocketType = Stream }

-- 128 bits, in hexadecimal digits.
newToken :: IO ByteString
newToken = do
  bytes <- withBinaryFile "/dev/urandom" ReadMode (`ByteString.hGet` 16)
  pure (Lazy.toStrict (toLazyByteString (byteStringHex bytes)))

-- ---- requests

-- Those that ask for another host are refused, and those that another site's page makes.
guarded :: [ByteString] -> Application -> Application
guarded names application request respond
  | maybe False (`notElem` ["same-origin", "none"]) (lookup "Sec-Fetch-Site" (requestHeaders request)) =
      respond (text status403 "mimalloc: not for pages of others\n")
  | maybe False ((`elem` names) . withoutPort . Char8.map toLower) (requestHeaderHost request) =
      application request (respond . mapResponseHeaders (securityHeaders ++))
  | otherwise = respond (text status403 "mimalloc: no page by that name here\n")
  where
    withoutPort host = case Char8.spanEnd isDigit host of
      (name, _) | not (Char8.null name), Char8.last name == ':' -> Char8.init name
      _ -> host

securityHeaders :: ResponseHeaders
securityHeaders =
  [ ("Cache-Control", "no-store")
  , ("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
      <> "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
  , ("Cross-Origin-Resource-Policy", "same-origin")
  , ("Referrer-Policy", "no-referrer")
  , ("X-Content-Type-Options", "nosniff")
  , ("X-Frame-Options", "DENY")
  ]

-- One after the other, however many ask, and while it is open.
answer :: ByteString -> MVar Bool -> Application
answer token open request respond = case (pathInfo request, requestMethod request) of
  ([], method) | reads_ method ->
    respond (responseLBS status200 [(hContentType, "text/html; charset=utf-8")] html)
  (["metrics"], method) | reads_ method -> made (rendered Prometheus defaultDetail)
  (["metrics.json"], method) | reads_ method -> made $
    rendered Json defaultDetail { detailHeaps = fromMaybe (detailHeaps defaultDetail) (parameter "heaps") }
  (["arena.json"], method) | reads_ method -> made $
    responseBuilder status200 [(hContentType, contentType Json)] <$>
      arenaJson (fromIntegral <$> parameter "arena")
  ([action], "POST") | Just change <- lookup action changes ->
    if maybe False (same token) (lookup "X-Mimalloc-Token" (requestHeaders request))
      then made (text status200 "done\n" <$ change)
      else respond (text status403 "mimalloc: this wants the token that was printed when the page began\n")
  ([action], _) | Just _ <- lookup action changes -> respond (otherMethod "POST")
  (path, _) | path `elem` [[], ["metrics"], ["metrics.json"], ["arena.json"]] ->
    respond (otherMethod "GET, HEAD")
  _ -> respond (text status404 "mimalloc: no such page\n")
  where
    reads_ method = method == methodGet || method == methodHead
    changes = [("drain", drainAll), ("purge", collectForce), ("collect", performMajorGC >> performMajorGC)]
    made work = try (withMVar open (\yes -> if yes then work else pure ended)) >>= respond . either failed id
    ended = text status503 "mimalloc: the page has ended\n"
    failed e = text status503 (stringUtf8 (displayException (e :: IOException)) <> "\n")
    rendered format detail =
      responseBuilder status200 [(hContentType, contentType format)] . renderMetrics format
        <$> getMetricsWith detail
    otherMethod allowed =
      mapResponseHeaders (("Allow", allowed) :) (text status405 "mimalloc: another method\n")
    parameter name = case lookup name (queryString request) of
      Just (Just digits) | Just (n, "") <- Char8.readInt digits -> Just n
      _ -> Nothing
    html = Lazy.fromStrict $(embedded "page.html")

text :: Status -> Builder -> Response
text status = responseBuilder status [(hContentType, "text/plain; charset=utf-8")]

-- It takes as long for each token of that length.
same :: ByteString -> ByteString -> Bool
same a b = ByteString.length a == ByteString.length b
  && foldr (.|.) 0 (ByteString.zipWith xor a b) == 0
