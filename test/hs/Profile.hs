{-# LANGUAGE OverloadedStrings #-}
-- The profile of Haskell programs: labels, what lives by stack, leaks, what is written and read, pictures.
module Main (main) where

import Control.Concurrent
import Control.Exception (try)
import Control.Monad
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Builder as Builder
import qualified Data.ByteString.Char8 as Char8
import qualified Data.ByteString.Lazy as Lazy
import Data.IORef
import Data.List (isInfixOf, sortOn)
import Foreign (Word8, fillBytes)
import Foreign.ForeignPtr (finalizeForeignPtr)
import System.Directory (createDirectoryIfMissing, doesFileExist, findExecutable, removePathForcibly)
import System.Environment (setEnv)
import System.Exit (ExitCode (..))
import System.IO
import System.Posix.Process (getProcessID)
import System.Posix.Signals (sigUSR2, signalProcess)
import System.Process (readProcessWithExitCode)
import Test.Tasty
import Test.Tasty.HUnit

import Api.Child (child, mainOr)
import Mimalloc
import Mimalloc.Profile
import Profile.Labels (inUse, profiled)
import qualified Profile.Labels

main :: IO ()
-- One test at a time: all look at one profile.
main = mainOr [("signalled", signalled)] $ do
  hSetBuffering stdout LineBuffering
  setEnv "TASTY_NUM_THREADS" "1"
  createDirectoryIfMissing True dir
  pprof <- findExecutable "google-pprof"
  when (pprof == Nothing) $ putStrLn "# skipped: google-pprof is not installed"
  defaultMain $ testGroup "profile"
    [ Profile.Labels.tests
    , testCase "a leak of foreign pointers has its label" (leak 1 0)
    , testCase "the same of one sample in 16 KiB" (leak 16384 0.7)
    , testCase "the same in threads that move" leakOfThreads
    , testCase "on and off" onAndOff
    , testCase "counts" counted
    , testCase "what grew" grew
    , testCase "what is written is read again" written
    , testCase "folded stacks of others" others
    , testCase "what is no profile" badTexts
    , testCase "flame graph" picture
    , testCase "a file at a signal" signals
    ] `also` [ testCase "pprof reads the labels" (byPprof p) | Just p <- [pprof] ]

also :: TestTree -> [TestTree] -> TestTree
also tree more = testGroup "profile" (tree : more)

dir :: FilePath
dir = "build/profile-hs"

builderBytes :: Builder.Builder -> ByteString
builderBytes = Lazy.toStrict . Builder.toLazyByteString

-- ---- leaks

-- Much is allocated and freed under one label. Under another some is forgotten.
service :: IORef [ForeignPtr Word8] -> Int -> IO ()
service forgotten rounds = forM_ [1 .. rounds] $ \i -> withAllocationLabel "service" $ do
  ps <- withAllocationLabel "requests" (replicateM 10 (mallocForeignPtrBytes 3000))
  when (i `mod` 4 == 0) $ withAllocationLabel "cache" $ do
    p <- mallocForeignPtrBytes 10000
    withForeignPtr p $ \q -> fillBytes q 1 10000
    modifyIORef' forgotten (p :)
  mapM_ finalizeForeignPtr ps

-- The labels of the largest, and its bytes.
worst :: Profile -> Maybe ([ByteString], Int)
worst profile = case sortOn (negate . snd) sums of
  s : _ -> Just s
  [] -> Nothing
  where
    sums = [ (labels, fst (inUse labels profile))
           | labels <- [["service", "requests"], ["service", "cache"], ["new"]] ]

leak :: Int -> Double -> Assertion
leak rate tolerance = do
  forgotten <- newIORef []
  startProfile rate
  service forgotten 400
  mark <- markProfile
  new <- withAllocationLabel "new" (replicateM 200 (mallocForeignPtrBytes 20000))
  leaks <- getLeaks mark
  text <- renderLeaks mark (Folded InUseBytes)
  stopProfile
  case worst leaks of
    Just (["service", "cache"], n) ->
      assertBool (show n) (abs (fromIntegral n - 1e6) <= tolerance * (1e6 :: Double))
    other -> assertFailure (show other)
  fst (inUse ["new"] leaks) @?= 0
  assertBool "its text" ("service;cache;" `ByteString.isInfixOf` text)
  assertBool "its text has no more" (not ("new;" `ByteString.isInfixOf` text))
  readIORef forgotten >>= mapM_ finalizeForeignPtr
  mapM_ finalizeForeignPtr new
  rest <- getLeaks mark
  fst (inUse ["service", "cache"] rest) @?= 0

leakOfThreads :: Assertion
leakOfThreads = profiled $ do
  forgotten <- newMVar []
  done <- newEmptyMVar
  forM_ [1 .. 16 :: Int] $ \i -> (if even i then forkIO else forkOn i) $
    withAllocationLabel "worker" $ do
      forM_ [1 .. 50 :: Int] $ \k -> do
        p <- mallocForeignPtrBytes 2000
        yield
        if k `mod` 10 == 0
          then do
            q <- withAllocationLabel "leaks" (yield >> mallocForeignPtrBytes 500)
            modifyMVar_ forgotten (pure . (q :))
          else when (k `mod` 7 == 0) (threadDelay 20)
        finalizeForeignPtr p
      putMVar done ()
  replicateM_ 16 (takeMVar done)
  mark <- markProfile
  profile <- getLeaks mark
  let under labels = [ s | s <- profileStacks profile, take (length labels) (stackFrames s) == labels ]
      sums = foldMap stackAmounts (under ["worker", "leaks"])
  (inUseBytes sums, inUseBlocks sums) @?= (16 * 5 * 500, 16 * 5)
  length (under ["worker"]) @?= length (under ["worker", "leaks"])
  takeMVar forgotten >>= mapM_ finalizeForeignPtr

-- ---- the profile

onAndOff :: Assertion
onAndOff = do
  profileRate >>= (@?= 0)
  startProfile 1000
  profileRate >>= (@?= 1000)
  startProfile 1
  p <- withAllocationLabel "on" (mallocForeignPtrBytes 10)
  stopProfile
  q <- withAllocationLabel "on" (mallocForeignPtrBytes 10)
  inUse ["on"] <$> getProfile >>= (@?= (10, 1))
  finalizeForeignPtr p
  inUse ["on"] <$> getProfile >>= (@?= (0, 0))
  finalizeForeignPtr q
  forM_ [0, -1] $ \bad -> do
    r <- try (startProfile bad)
    saying r ("rate out of range: " ++ show bad)

counted :: Assertion
counted = profiled $ do
  before <- profileCounts
  p <- mallocForeignPtrBytes 10
  between <- profileCounts
  finalizeForeignPtr p
  now <- profileCounts
  samplesLive between - samplesLive before @?= 1
  samplesTaken between - samplesTaken before @?= 1
  samplesLive now @?= samplesLive before
  samplesDropped now @?= samplesDropped before

grew :: Assertion
grew = profiled $ do
  p <- withAllocationLabel "p" (mallocForeignPtrBytes 100)
  q <- withAllocationLabel "q" (mallocForeignPtrBytes 20)
  before <- getProfile
  finalizeForeignPtr q
  r <- withAllocationLabel "r" (mallocForeignPtrBytes 3)
  now <- getProfile
  let difference = profileDifference before now
  map (`inUse` difference) [["p"], ["q"], ["r"]] @?= [(0, 0), (-20, -1), (3, 1)]
  profileStacks (profileDifference now now) @?= []
  let lines' = Char8.lines (builderBytes (foldedStacks InUseBytes difference))
  assertBool (show lines') (length lines' == 1 && all ("r;" `ByteString.isPrefixOf`) lines')
  mapM_ finalizeForeignPtr [p, r]

written :: Assertion
written = profiled $ do
  ps <- withAllocationLabel "written" (replicateM 7 (mallocForeignPtrBytes 100))
  mapM_ finalizeForeignPtr (take 3 ps)
  profile <- getProfile
  again <- parseStacks (builderBytes (allStacks profile))
  again @?= profile
  text <- renderProfile Stacks >>= parseStacks
  inUse ["written"] text @?= (400, 4)
  forM_ [(InUseBytes, 400), (InUseBlocks, 4), (AllocatedBytes, 700), (AllocatedBlocks, 7)] $ \(what, n) -> do
    let path = dir ++ "/" ++ show what ++ ".folded"
    writeProfile path (Folded what)
    withBinaryFile (path ++ ".2") WriteMode (`hPutProfile` Folded what)
    one <- ByteString.readFile path
    two <- ByteString.readFile (path ++ ".2")
    two @?= one
    stacks <- profileStacks <$> parseFolded InUseBytes one
    assertEqual (show what) n
      (sum [ inUseBytes (stackAmounts s) | s <- stacks, take 1 (stackFrames s) == ["written"] ])
  pprof <- renderProfile Pprof
  assertBool "a header" ("heap profile: " `ByteString.isPrefixOf` pprof)
  assertBool "mappings" ("\nMAPPED_LIBRARIES:\n" `ByteString.isInfixOf` pprof)
  assertBool "code" (" r-xp " `ByteString.isInfixOf` pprof)
  mapM_ finalizeForeignPtr (drop 3 ps)

others :: Assertion
others = do
  profile <- parseFolded AllocatedBlocks "main;a b;c 3\n\nmain 1\nmain;a b;c 4"
  map stackFrames (profileStacks profile) @?= [["main"], ["main", "a b", "c"]]
  map (allocatedBlocks . stackAmounts) (profileStacks profile) @?= [1, 7]

badTexts :: Assertion
badTexts = do
  forM_ [("a 1\nb\n", 2), (" 1", 1), ("a 1\nb 2\nc x\n", 3), ("a 1.5", 1), ("7", 1)] $ \(text, line) -> do
    r <- try (parseFolded InUseBytes text)
    saying r ("(no folded stack in line " ++ show (line :: Int) ++ ")")
  r <- try (parseStacks "a 1 2 3\n")
  saying r "(no folded stack in line 1)"

saying :: Either IOError a -> String -> Assertion
saying r text = case r of
  Left e -> assertBool (show e) (isInvalidArgument e && text `isInfixOf` show e)
  Right _ -> assertFailure "it did not fail"

-- ---- pictures

picture :: Assertion
picture = do
  profile <- parseFolded InUseBytes "main;a<&>;x 300\nmain;\"b\" 100\nother\xff 600\nnone 0\n"
  let svg = builderBytes (flameGraph "t & u" InUseBytes profile)
      has text = assertBool (show text) (text `ByteString.isInfixOf` svg)
  has "t &amp; u: 1000 bytes"
  has "<title>main: 400 bytes, 40.0 %</title>"
  has "<title>a&lt;&amp;&gt;: 300 bytes, 30.0 %</title>"
  has "&quot;b&quot;: 100 bytes, 10.0 %"
  has "<title>all: 1000 bytes, 100.0 %</title>"
  has "other\xef\xbf\xbd: 600"
  has "prefers-color-scheme: dark"
  assertBool "nothing of what has nothing" (not ("none" `ByteString.isInfixOf` svg))
  assertBool "it refers to nothing" (not ("href" `ByteString.isInfixOf` svg))
  length (ByteString.breakSubstring "<g>" svg `seq` Char8.findIndices (== '\n') svg) > 10 @?= True
  balanced svg
  balanced (builderBytes (flameGraph "empty" InUseBlocks (profileDifference profile profile)))

-- Each element ends, in its turn.
balanced :: ByteString -> Assertion
balanced = go []
  where
    go open text = case Char8.break (== '<') text of
      (_, "") -> open @?= []
      (_, rest) -> do
        let (tag, behind) = Char8.break (== '>') (Char8.drop 1 rest)
            name = Char8.takeWhile (`notElem` (" />" :: String)) tag
        if "/" `ByteString.isPrefixOf` tag
          then do
            take 1 open @?= [Char8.drop 1 tag]
            go (drop 1 open) behind
          else go (if "/" `ByteString.isSuffixOf` tag then open else name : open) behind

-- ---- others' tools

byPprof :: FilePath -> Assertion
byPprof pprof = profiled $ do
  ps <- withAllocationLabel "requests" $
    replicateM 5 (withAllocationLabel "parse" (mallocForeignPtrBytes 1000))
  let path = dir ++ "/labels.symbolized"
  writeProfile path Symbolized
  (code, said, complained) <- readProcessWithExitCode pprof ["--text", "--inuse_objects", path] ""
  assertBool complained (code == ExitSuccess)
  -- flat, its part, sum, with what it called, its part, name
  forM_ ["requests", "parse"] $ \label ->
    [ n | l <- lines said, [_, _, _, n, _, name] <- [words l], name == label ] @?= ["5"]
  mapM_ finalizeForeignPtr ps

-- A program that is asked from outside, by its environment.
signals :: Assertion
signals = do
  let file = dir ++ "/signal.folded"
  forM_ ["1", "2"] $ \k -> removePathForcibly (dir ++ "/signal." ++ k ++ ".folded")
  (code, said, complained) <- child
    [ ("MIMALLOC_PROFILE", file), ("MIMALLOC_PROFILE_RATE", "1"), ("MIMALLOC_PROFILE_SIGNAL", "SIGUSR2") ]
    "signalled"
  (code, said, complained) @?= (ExitSuccess, "done\n", "")
  first <- ByteString.readFile (dir ++ "/signal.1.folded") >>= parseFolded InUseBytes
  second <- ByteString.readFile (dir ++ "/signal.2.folded") >>= parseFolded InUseBytes
  fst (inUse ["kept"] first) @?= 1000
  fst (inUse ["kept"] second) @?= 3000

signalled :: IO ()
signalled = do
  ps <- forM [(1, 1000), (2, 2000)] $ \(k, n) -> do
    p <- withAllocationLabel "kept" (mallocForeignPtrBytes n)
    getProcessID >>= signalProcess sigUSR2
    await (dir ++ "/signal." ++ show (k :: Int) ++ ".folded") (3000 :: Int)
    pure p
  mapM_ (\p -> withForeignPtr (p :: ForeignPtr Word8) (const (pure ()))) ps
  putStrLn "done"
  where
    await _ 0 = putStrLn "no file"
    await path n = do
      there <- doesFileExist path
      unless there (threadDelay 10000 >> await path (n - 1))
