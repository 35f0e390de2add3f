{-# LANGUAGE OverloadedStrings #-}
-- What the live page's server answers, by plain sockets: the numbers are the library's; who has no token
-- changes nothing; who asks for another host gets nothing; nobody else on the network is heard; and while
-- nobody asks nothing runs. In a browser: tools/live browser.
module Main (main) where

import Control.Concurrent (threadDelay)
import Control.Exception (ErrorCall (..), IOException, bracket, throwIO, try)
import Control.Monad
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder (toLazyByteString)
import qualified Data.ByteString.Char8 as Char8
import qualified Data.ByteString.Lazy as Lazy
import Data.Char (isHexDigit)
import Data.IORef
import Data.List (isInfixOf, sortOn)
import Data.Ord (Down (..))
import Foreign.Marshal.Utils (fillBytes)
import Network.Socket
import Network.Socket.ByteString (recv, sendAll)
import System.Directory (listDirectory)
import System.Environment (setEnv)
import System.Mem (performMajorGC)
import Test.Tasty hiding (after)
import Test.Tasty.HUnit

import Mimalloc
import Mimalloc.Heap
import Mimalloc.Live
import Mimalloc.Metrics
import Mimalloc.Stats

main :: IO ()
-- One test at a time: they look at what the process holds.
main = setEnv "TASTY_NUM_THREADS" "1" >> defaultMain (testGroup "live"
  [ testGroup "what is answered"
    [ testCase "the page, which asks for nothing from elsewhere" page
    , testCase "metrics are the library's" metrics
    , testCase "a thousand heaps, if they are asked for" thousandHeaps
    , testCase "the map of an arena is the library's" arena
    , testCase "other paths and methods" others ]
  , testGroup "whom it hears"
    [ testCase "without the token nothing changes" refused
    , testCase "with the token it does" accepted
    , testCase "each page has a token of its own" tokens
    , testCase "other hosts are refused" hosts
    , testCase "names that were given are heard" named
    , testCase "it listens on its address only" loopback ]
  , testGroup "while the action runs"
    [ testCase "it ends with the action, and passes its result and its exceptions on" ends
    , testCase "so does a connection that is kept" kept
    , testCase "a port that is taken" taken
    , testCase "nothing runs while nobody asks" idle ]
  ])

-- ---- asking

quiet :: Settings
quiet = defaultSettings { settingsPort = 0, settingsAnnounce = const (pure ()) }

served :: (LivePage -> IO a) -> IO a
served = withLivePageAt quiet

data Answer = Answer { status :: Int, headers :: [ByteString], body :: ByteString }

connected :: String -> Int -> (Socket -> IO a) -> IO a
connected address port = bracket (opened address port) close

opened :: String -> Int -> IO Socket
opened address port = do
  info : _ <- getAddrInfo (Just defaultHints { addrFlags = [AI_NUMERICHOST], addrSocketType = Stream })
    (Just address) (Just (show port))
  s <- openSocket info
  s <$ connect s (addrAddress info)

-- Until the other end closes.
everything :: Socket -> IO ByteString
everything s = ByteString.concat <$> go
  where go = recv s 65536 >>= \b -> if ByteString.null b then pure [] else (b :) <$> go

-- A method and a path, and headers. Of HTTP 1.0, so that the answer comes in one piece.
ask :: LivePage -> ByteString -> [ByteString] -> IO Answer
ask = askAt "127.0.0.1"

askAt :: String -> LivePage -> ByteString -> [ByteString] -> IO Answer
askAt address p line lines_ = connected address (livePort p) $ \s -> do
  sendAll s (ByteString.concat (map (<> "\r\n") ((line <> " HTTP/1.0") : lines_ ++ [""])))
  text <- everything s
  let (head_, rest) = ByteString.breakSubstring "\r\n\r\n" text
      hs = map (Char8.takeWhile (/= '\r')) (Char8.lines head_)
  case map Char8.readInt (drop 1 (Char8.words (ByteString.concat (take 1 hs)))) of
    Just (n, _) : _ -> pure (Answer n (drop 1 hs) (ByteString.drop 4 rest))
    _ -> assertFailure ("no answer: " ++ show text)

host :: LivePage -> ByteString
host p = "Host: 127.0.0.1:" <> Char8.pack (show (livePort p))

get :: LivePage -> ByteString -> IO ByteString
get p path = do
  a <- ask p ("GET " <> path) [host p]
  body a <$ (status a @?= 200)

post :: LivePage -> ByteString -> [ByteString] -> IO Int
post p path more = status <$> ask p ("POST " <> path) (host p : "Content-Length: 0" : more)

token :: LivePage -> ByteString
token p = "X-Mimalloc-Token: " <> liveToken p

-- ---- what is answered

page :: Assertion
page = served $ \p -> do
  a <- ask p "GET /" [host p]
  status a @?= 200
  assertBool "type" ("Content-Type: text/html; charset=utf-8" `elem` headers a)
  let policies = filter ("Content-Security-Policy: default-src 'none';" `ByteString.isPrefixOf`) (headers a)
  length policies @?= 1
  assertBool "frames" (all ("frame-ancestors 'none'" `ByteString.isInfixOf`) policies)
  -- Addresses in it: that of SVG's names, which nobody fetches.
  occurrences "://" (body a) @?= 1
  occurrences "http://www.w3.org/2000/svg" (body a) @?= 1
  occurrences "</html>" (body a) @?= 1
  -- What a HEAD says has no body.
  b <- ask p "HEAD /" [host p]
  (status b, body b) @?= (200, "")
  where
    occurrences what text = case ByteString.breakSubstring what text of
      (_, rest) | ByteString.null rest -> 0 :: Int
                | otherwise -> 1 + occurrences what (ByteString.drop (ByteString.length what) rest)

-- What a request answers, and what the library says before it and after: taken anew until nobody changed that
-- meanwhile, such as memory that goes back.
steady :: Eq a => IO a -> IO b -> IO (a, b)
steady look request = go (200 :: Int)
  where
    go n = do
      before <- look
      answered <- request
      later <- look
      if before == later then pure (before, answered)
        else when (n == 0) (assertFailure "it never stands still") >> threadDelay 50000 >> go (n - 1)

metrics :: Assertion
metrics = served $ \p -> withHeap $ \h -> do
  nameHeap h "cache"
  withHeapMallocBytes h 5000 $ \_ -> withMallocBytes 100000 $ \_ -> do
    let ours = ["mimalloc_live_bytes", "mimalloc_live_blocks", "mimalloc_committed_bytes"
               , "mimalloc_size_class_page_bytes", "mimalloc_heap_live_bytes", "mimalloc_owner_live_bytes"]
        look = (,) <$> (filter ((`elem` ours) . metricName) <$> getMetrics)
          <*> (gaugeLiveBytes . statsGauges <$> getStats)
    ((same, live), text) <- steady look (get p "/metrics.json")
    length same @?= length ours
    -- As the library writes them.
    forM_ same $ \m -> assertBool (show m) (written m `ByteString.isInfixOf` text)
    -- And they are those of getStats.
    [ v | m <- same, metricName m == "mimalloc_live_bytes", Sample _ (Whole v) <- metricSamples m ]
      @?= [live]
    names <- map metricName <$> getMetrics
    forM_ names $ \n -> assertBool (show n) (("{\"name\":\"" <> n <> "\"") `ByteString.isInfixOf` text)
    assertBool "the heap's name" ("{\"heap\":\"cache\"}" `ByteString.isInfixOf` text)
    prometheus <- get p "/metrics"
    assertBool "Prometheus" ("# TYPE mimalloc_live_bytes gauge\n" `ByteString.isInfixOf` prometheus)
  where
    written m = between (Lazy.toStrict (toLazyByteString (renderMetrics Json [m])))
    between = ByteString.drop 1 . Char8.dropWhile (/= '[') . Char8.dropWhileEnd (/= '}') . dropEnd 3
    dropEnd n b = ByteString.take (ByteString.length b - n) b

thousandHeaps :: Assertion
thousandHeaps = served $ \p -> do
  heaps <- forM [1 .. 1000 :: Int] $ \i -> do
    h <- newNamedHeap ("customer " ++ show i)
    h <$ heapMallocForeignPtrBytes h 100
  all_ <- get p "/metrics.json?heaps=1000000"
  few <- get p "/metrics.json?heaps=3"
  arenas <- get p "/arena.json"
  forM_ [1 .. 1000 :: Int] $ \i -> do
    let name = "\"customer " <> Char8.pack (show i) <> "\""
    assertBool (show name) (("{\"heap\":" <> name <> "}") `ByteString.isInfixOf` all_)
    assertBool (show name) (name `ByteString.isInfixOf` arenas)
  assertBool "few" (ByteString.length few * 3 < ByteString.length all_)
  mapM_ unsafeEndHeap heaps

arena :: Assertion
arena = served $ \p -> withMallocBytes 1000 $ \_ -> do
  (first, bytes) : _ <- sortOn (Down . snd) <$> getArenas
  (runs, text) <- steady (arenaMap first) (get p ("/arena.json?arena=" <> Char8.pack (show first)))
  65536 * sum (map runSlices runs) @?= bytes
  assertBool "its number" (("{\"arena\":" <> Char8.pack (show first) <> ",") `ByteString.isPrefixOf` text)
  let rows = Char8.split '[' (snd (ByteString.breakSubstring "\"runs\":[" text))
      uses = map (Char8.takeWhile (`notElem` ("]\"" :: String)) . behindComma) (drop 2 rows)
      behindComma = ByteString.drop 1 . Char8.dropWhile (/= ',')
      use r = case runUse r of
        ArenaFree -> "0"
        ArenaWaits -> "1"
        ArenaKept -> "2"
        ArenaPage {} -> "3," :: ByteString
  uses @?= map use runs
  -- One that is not there: the largest.
  other <- get p "/arena.json?arena=999"
  assertBool "the largest" (("{\"arena\":" <> Char8.pack (show first) <> ",") `ByteString.isPrefixOf` other)

others :: Assertion
others = served $ \p -> do
  let wrong = [("GET /drain", "POST"), ("POST /", "GET, HEAD"), ("DELETE /metrics.json", "GET, HEAD")]
  forM_ ["GET /none", "GET /metrics/x", "POST /none"] $ \line ->
    (ask p line [host p, "Content-Length: 0"] >>= (@?= 404) . status)
  forM_ wrong $ \(line, allowed) -> do
    a <- ask p line [host p, token p, "Content-Length: 0"]
    status a @?= 405
    assertBool (show line) (("Allow: " <> allowed) `elem` headers a)

-- ---- whom it hears

-- Memory that waits to go back, for as long as nobody asks; how much was given back by what then happens.
givenBack :: IO a -> IO Int
givenBack action = do
  mi_option_set MiOptionPurgeDelay 1000000
  collectForce                 -- what waits from before
  blocks <- replicateM 100 (mi_malloc 200000) :: IO [Ptr ()]
  forM_ blocks $ \b -> fillBytes b 1 200000
  mapM_ mi_free blocks
  before <- counterPurgedBytes . statsCounters <$> getStats
  void action
  after <- counterPurgedBytes . statsCounters <$> getStats
  mi_option_set MiOptionPurgeDelay 250
  collectForce
  pure (after - before)

refused :: Assertion
refused = served $ \p -> do
  let wrong = "X-Mimalloc-Token: " <> Char8.map (\c -> if c == '0' then '1' else '0') (liveToken p)
      bad = [[], [wrong], ["X-Mimalloc-Token:"], [ByteString.take 30 (token p)], [token p <> "0"]]
  n <- givenBack $ forM_ ["/purge", "/drain", "/collect"] $ \path -> forM_ bad $ \more ->
    post p path more >>= (@?= 403)
  n @?= 0
  -- Not in the address either, where others may see it.
  post p ("/purge?token=" <> liveToken p) [] >>= (@?= 403)

accepted :: Assertion
accepted = served $ \p -> forM_ ["/purge", "/drain"] $ \path -> do
  n <- givenBack (post p path [token p] >>= (@?= 200))
  assertBool (show (path, n)) (n >= 10000000)
  performMajorGC
  post p "/collect" [token p] >>= (@?= 200)

tokens :: Assertion
tokens = served $ \p -> served $ \q -> do
  assertBool "alike" (liveToken p /= liveToken q)
  ByteString.length (liveToken p) @?= 32
  assertBool "digits" (Char8.all isHexDigit (liveToken p))
  liveUrl p @?= "http://127.0.0.1:" ++ show (livePort p) ++ "/#" ++ Char8.unpack (liveToken p)
  post q "/purge" [token p] >>= (@?= 403)

hosts :: Assertion
hosts = served $ \p -> do
  let port = Char8.pack (':' : show (livePort p))
      good = ["127.0.0.1" <> port, "localhost" <> port, "LocalHost" <> port, "localhost", "localhost:1"]
      bad = [ "evil.example" <> port, "localhost.evil.example" <> port, "evil.example", "", port
            , "localhost." <> port, "127.0.0.1.evil.example", "xlocalhost", "localhost:1x" ]
      statusFor line name = status <$> ask p line ["Host: " <> name, token p, "Content-Length: 0"]
      all_ = [ "GET /", "GET /metrics", "GET /metrics.json", "GET /arena.json", "POST /purge"
             , "GET /none" ]
  forM_ good $ \name -> statusFor "GET /metrics.json" name >>= assertEqual (show name) 200
  n <- givenBack $ forM_ bad $ \name -> forM_ all_ $ \line ->
    statusFor line name >>= assertEqual (show (name, line)) 403
  n @?= 0
  -- None at all.
  forM_ all_ $ \line -> ask p line [token p, "Content-Length: 0"] >>= (@?= 403) . status

named :: Assertion
named = withLivePageAt quiet { settingsAddress = "127.0.0.2", settingsNames = ["Service.example"] } $ \p ->
  forM_ [("service.example:80", 200), ("127.0.0.2:1", 200), ("127.0.0.1", 403)] $ \(name, wanted) -> do
    a <- askAt "127.0.0.2" p "GET /metrics" ["Host: " <> name]
    status a @?= wanted

loopback :: Assertion
loopback = served $ \p -> do
  void (get p "/metrics")
  -- One that waited on every address would be heard on this one.
  r <- try (connected "127.0.0.2" (livePort p) (const (pure ())))
  either (\e -> let _ = e :: IOException in pure ()) (const (assertFailure "127.0.0.2 is heard")) r

-- ---- while the action runs

ends :: Assertion
ends = do
  place <- newIORef Nothing
  r <- served $ \p -> do
    writeIORef place (Just p)
    void (get p "/metrics")
    pure (42 :: Int)
  r @?= 42
  Just p <- readIORef place
  gone <- try (connected "127.0.0.1" (livePort p) (const (pure ())))
  either (\e -> let _ = e :: IOException in pure ()) (const (assertFailure "it goes on")) gone
  thrown <- try (served (\_ -> throwIO (ErrorCall "mine")))
  either (@?= ErrorCall "mine") (\() -> assertFailure "no exception") thrown

kept :: Assertion
kept = do
  n <- givenBack $ do
    (s, p) <- served $ \p -> do
      s <- opened "127.0.0.1" (livePort p)
      sendAll s ("GET /metrics HTTP/1.1\r\n" <> host p <> "\r\n\r\n")
      first <- recv s 65536
      assertBool (show first) ("HTTP/1.1 200" `ByteString.isPrefixOf` first)
      pure (s, p)
    -- What is left of the first answer comes before the second.
    -- It may be closed already.
    r <- try $ sendAll s (ByteString.intercalate "\r\n"
      ["POST /purge HTTP/1.1", host p, token p, "Content-Length: 0", "Connection: close", "", ""])
      >> everything s
    either (\e -> const (pure ()) (e :: IOException)) (const (pure ())) r
    close s
  n @?= 0

taken :: Assertion
taken = served $ \p -> do
  r <- try (withLivePageAt quiet { settingsPort = livePort p } (const (pure ())))
  either (\e -> assertBool (show e) ("in use" `isInfixOf` show (e :: IOException)))
    (const (assertFailure "two at one port")) r
  void (get p "/metrics")

-- How often the process's threads were switched: each step that one of them takes begins with such a switch.
-- With +RTS -V0 there is no clock that ticks.
idle :: Assertion
idle = do
  without <- switches
  with <- served $ \p -> do
    void (get p "/")
    void (get p "/metrics.json")
    threadDelay 3000000                 -- warp looks once more whether a connection is to be closed
    switches
  assertBool (show (without, with)) (with <= without + 20)
  where
    switches = do
      before <- counted
      threadDelay 1000000
      subtract before <$> counted
    counted = do
      tasks <- listDirectory "/proc/self/task"
      sum <$> forM tasks (\t -> do
        r <- try (readFile ("/proc/self/task/" ++ t ++ "/status") >>= \s -> length s `seq` pure s)
        pure $ case r of
          Left e -> let _ = e :: IOException in 0
          Right s -> sum [ read n :: Int | [k, n] <- map words (lines s), "ctxt_switches:" `isInfixOf` k ])
