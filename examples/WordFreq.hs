{-# LANGUAGE BangPatterns, MonoLocalBinds, ScopedTypeVariables #-}
-- |
-- The most frequent words of a directory tree, counted on all capabilities at once.
--
-- Each file is read into memory from this allocator, as a ByteString; each worker counts in a table of its
-- own, storable vectors in memory from this allocator. What the garbage collector frees is freed by whichever
-- capability it comes to.
--
-- > wordfreq [--check] [PATH...]
--
-- With @--check@ it is done a second time with base's allocation, and the answers are compared. The status is
-- 2 if nothing was done (an unknown option, a path that cannot be read), 1 if something below a path could
-- not be read or the answers differ.
module Main (main) where

import Control.Concurrent
import Control.Exception (IOException, SomeException, bracket, catch, evaluate, throwIO, try)
import Control.Monad
import Data.Bits (shiftR, xor, (.&.), (.|.))
import qualified Data.ByteString as B
import qualified Data.ByteString.Char8 as BC
import qualified Data.ByteString.Internal as BI
import qualified Data.ByteString.Unsafe as BU
import Data.IORef
import Data.List (sortBy)
import qualified Data.List as List
import qualified Data.Map.Strict as M
import Data.Ord (Down (..), comparing)
import qualified Data.Vector.Storable.Mutable as V
import Data.Word (Word64, Word8)
import Foreign (ForeignPtr, copyBytes, fillBytes, plusPtr, withForeignPtr)
import qualified Foreign as Base (mallocForeignPtrArray, mallocForeignPtrBytes)
import GHC.Clock (getMonotonicTime)
import System.Directory (doesDirectoryExist, listDirectory, pathIsSymbolicLink)
import System.Environment (getArgs)
import System.Exit (ExitCode (..), exitFailure, exitSuccess, exitWith)
import System.FilePath (takeExtension, (</>))
import System.IO
import Text.Printf (hPrintf, printf)

import qualified Mimalloc as Mi
import Mimalloc.Stats

-- | Where memory comes from: bytes for files and words, zeroed numbers for tables.
data Memory = Memory
  { bytesOf   :: Int -> IO (ForeignPtr Word8)
  , zeroWords :: Int -> IO (ForeignPtr Word64)
  }

ours, bases :: Memory
ours  = Memory Mi.mallocForeignPtrBytes Mi.callocForeignPtrArray
bases = Memory Base.mallocForeignPtrBytes $ \n -> do
  fp <- Base.mallocForeignPtrArray n
  withForeignPtr fp $ \p -> fillBytes p 0 (8 * n)
  pure fp

-- -----------------------------------------------------------------------------------------------------------
-- A worker's table: open addressing; a word is told apart by its 64-bit hash. Three numbers a slot, a row
-- each.

data Table = Table
  { slots :: !(V.IOVector Word64)     -- ^ hash (0: empty), place of the text, count
  , used  :: !Int                     -- ^ slots in use
  , texts :: !(ForeignPtr Word8)      -- ^ the words, one after the other: a length byte, then the text
  , room  :: !Int                     -- ^ bytes of 'texts'
  , end   :: !Int                     -- ^ bytes of these in use
  }

newTable :: Memory -> IO Table
newTable mem = do
  s <- newSlots mem 16384
  t <- bytesOf mem 65536
  pure (Table s 0 t 65536 0)

newSlots :: Memory -> Int -> IO (V.IOVector Word64)
newSlots mem n = (\fp -> V.unsafeFromForeignPtr0 fp (3 * n)) <$> zeroWords mem (3 * n)

-- | The slot of a hash, or the empty one where it belongs. The number of slots is a power of two.
slotOf :: V.IOVector Word64 -> Word64 -> IO Int
slotOf s !h = go (fromIntegral (h .&. mask))
  where
    n = V.length s `div` 3
    mask = fromIntegral (n - 1)
    go :: Int -> IO Int
    go !i = do
      k <- V.unsafeRead s (3 * i)
      if k == 0 || k == h then pure i else go ((i + 1) .&. (n - 1))

-- | Counts a word: at most 255 bytes.
count :: Memory -> Table -> B.ByteString -> Word64 -> IO Table
count mem t0 word !h = do
  t <- if 2 * used t0 >= V.length (slots t0) `div` 3 then grow mem t0 else pure t0
  i <- slotOf (slots t) h
  k <- V.unsafeRead (slots t) (3 * i)
  c <- V.unsafeRead (slots t) (3 * i + 2)
  V.unsafeWrite (slots t) (3 * i + 2) (c + 1)
  if k /= 0 then pure t else do
    V.unsafeWrite (slots t) (3 * i) h
    V.unsafeWrite (slots t) (3 * i + 1) (fromIntegral (end t))
    addText mem t { used = used t + 1 } word

grow :: Memory -> Table -> IO Table
grow mem t = do
  let n = V.length (slots t) `div` 3
  s <- newSlots mem (2 * n)
  forM_ [0 .. n - 1] $ \j -> do
    h <- V.unsafeRead (slots t) (3 * j)
    when (h /= 0) $ do
      i <- slotOf s h
      V.unsafeCopy (V.slice (3 * i) 3 s) (V.slice (3 * j) 3 (slots t))
  pure t { slots = s }

addText :: Memory -> Table -> B.ByteString -> IO Table
addText mem t word
  | end t + 1 + B.length word > room t = do
      fp <- bytesOf mem (2 * room t)
      withForeignPtr fp $ \new -> withForeignPtr (texts t) $ \old -> copyBytes new old (end t)
      addText mem t { texts = fp, room = 2 * room t } word
  | otherwise = do
      withForeignPtr (texts t) $ \p ->
          BU.unsafeUseAsCStringLen (B.cons (fromIntegral (B.length word)) word) $ \(q, n) ->
        copyBytes (p `plusPtr` end t) q n
      pure t { end = end t + 1 + B.length word }

toMap :: Table -> IO (M.Map B.ByteString Word64)
toMap t = do
  let n = V.length (slots t) `div` 3
      text = BI.fromForeignPtr (texts t) 0 (end t)
      entry :: Int -> IO [(B.ByteString, Word64)]
      entry i = do
        h <- V.unsafeRead (slots t) (3 * i)
        at <- fromIntegral <$> V.unsafeRead (slots t) (3 * i + 1)
        c <- V.unsafeRead (slots t) (3 * i + 2)
        pure [(B.copy (B.take (fromIntegral (B.index text at)) (B.drop (at + 1) text)), c) | h /= 0]
  M.fromListWith (+) . concat <$> mapM entry [0 .. n - 1]

-- -----------------------------------------------------------------------------------------------------------
-- Text

-- | Every run of ASCII letters, in lower case; all of the file's words are counted.
countWords :: Memory -> Table -> B.ByteString -> IO (Table, Int)
countWords mem = go 0
  where
    go !n t s = case B.span letter (B.dropWhile (not . letter) s) of
      (w, rest)
        | B.null w -> pure (t, n)
        | otherwise -> do
            let word = B.take 255 w
            t' <- count mem t (B.map lower word) (hash word)
            go (n + 1) t' rest
    hash = mix . B.foldl' (\h c -> (h `xor` fromIntegral (lower c)) * 0x100000001b3) 0xcbf29ce484222325
    mix h = let x = (h `xor` (h `shiftR` 32)) * 0x9e3779b97f4a7c15 in (x `xor` (x `shiftR` 29)) .|. 1

letter :: Word8 -> Bool
letter c = lower c - 97 < 26

lower :: Word8 -> Word8
lower = (.|. 32)

-- | A whole file; its size may be a lie, so as much as there is.
readIn :: Memory -> FilePath -> IO B.ByteString
readIn mem path = bracket (openBinaryFile path ReadMode) hClose $ \h -> do
  size <- fromIntegral <$> hFileSize h
  let fill fp have space = do
        n <- withForeignPtr fp $ \p -> hGetBuf h (p `plusPtr` have) (space - have)
        if have + n < space then pure (BI.fromForeignPtr fp 0 (have + n)) else do
          new <- bytesOf mem (2 * space)
          withForeignPtr new $ \q -> withForeignPtr fp $ \p -> copyBytes q p space
          fill new space (2 * space)
  fp <- bytesOf mem (size + 1)
  fill fp 0 (size + 1)

-- | What is below a path: what cannot be read there, and the files.
below :: FilePath -> IO ([IOException], [FilePath])
below path = doesDirectoryExist path >>= \dir ->
  if not dir then pure ([], [path | takeExtension path `notElem` [".gz", ".xz", ".png", ".pdf"]]) else
    try (listDirectory path) >>= either (\e -> pure ([e], [])) (fmap mconcat . mapM (entry . (path </>)))
  where
    -- Links are followed only where they were named. What is gone meanwhile is none.
    entry p = quietly True (pathIsSymbolicLink p) >>= \link -> if link then pure mempty else below p

-- | The same for a path that somebody named: it has to be there, and readable.
named :: FilePath -> IO ([IOException], [FilePath])
named path = try look >>= either (\e -> pure ([e], [])) (const (below path))
  where
    look = doesDirectoryExist path >>= \dir -> if dir then () <$ listDirectory path
      else openBinaryFile path ReadMode >>= hClose

quietly :: a -> IO a -> IO a
quietly def act = act `catch` \e -> const (pure def) (e :: IOException)

-- -----------------------------------------------------------------------------------------------------------
-- The work

-- | Files, files skipped, bytes, words.
data Tally = Tally !Int !Int !Int !Int

instance Semigroup Tally where
  Tally a b c d <> Tally e f g h = Tally (a + e) (b + f) (c + g) (d + h)
instance Monoid Tally where
  mempty = Tally 0 0 0 0

-- | Takes the next file until there is none; unreadable ones and those that are no text are skipped.
worker :: Memory -> IORef [FilePath] -> IORef Tally -> IO (M.Map B.ByteString Word64)
worker mem todo tally = newTable mem >>= go
  where
    go t = atomicModifyIORef' todo (\fs -> (drop 1 fs, take 1 fs)) >>= \next -> case next of
      [] -> toMap t
      path : _ -> do
        text <- quietly Nothing (Just <$> readIn mem path)
        case text of
          Just s | B.notElem 0 (B.take 4096 s) -> do
            (t', n) <- countWords mem t s
            report (Tally 1 0 (B.length s) n)
            go t'
          _ -> report (Tally 0 1 0 0) >> go t
    report x = atomicModifyIORef' tally (\y -> let z = x <> y in z `seq` (z, ()))

-- | One worker a capability.
run :: Memory -> [FilePath] -> IO (M.Map B.ByteString Word64, Tally, Double)
run mem files = do
  start <- getMonotonicTime
  todo <- newIORef files
  tally <- newIORef mempty
  caps <- getNumCapabilities
  results <- forM [0 .. caps - 1] $ \c -> do
    result <- newEmptyMVar
    _ <- forkOn c (try (worker mem todo tally) >>= putMVar result)
    pure result
  watcher <- forkIO (progress tally (length files))
  tables <- forM results (takeMVar >=> either (\e -> throwIO (e :: SomeException)) pure)
  killThread watcher
  merged <- evaluate (List.foldl' (M.unionWith (+)) M.empty tables)
  terminal <- hIsTerminalDevice stderr
  when terminal (hPutStr stderr "\r\ESC[K")
  (,,) merged <$> readIORef tally <*> (subtract start <$> getMonotonicTime)

-- | On a terminal one line that changes, else a line every two seconds.
progress :: IORef Tally -> Int -> IO ()
progress tally total = do
  terminal <- hIsTerminalDevice stderr
  forever $ do
    threadDelay (if terminal then 200000 else 2000000)
    Tally f s b _ <- readIORef tally
    hPrintf stderr (if terminal then "\r%d of %d files, %.1f MB" else "%d of %d files, %.1f MB\n")
      (f + s) total (mega b)
    hFlush stderr

mega :: Int -> Double
mega n = fromIntegral n / 1e6

-- | The most frequent first; of equals the alphabet's first.
top :: Int -> M.Map B.ByteString Word64 -> [(B.ByteString, Word64)]
top n = take n . sortBy (comparing (Down . snd) <> comparing fst) . M.toList

usage :: String
usage = "usage: wordfreq [--check] [PATH...]\n\
  \The most frequent words of the files below the paths (/usr/share/doc), counted on all \
  \capabilities at once.\n\
  \--check: once more with base's allocation, and the answers are compared.\n"

-- | Whether to check, and the paths.
arguments :: [String] -> IO (Bool, [FilePath])
arguments args
  | "--help" `elem` options = putStr usage >> exitSuccess
  | o : _ <- filter (/= "--check") options = complain ["unknown option " ++ o]
      >> hPutStr stderr usage >> exitWith (ExitFailure 2)
  | otherwise = pure (not (null options), paths ++ drop 1 rest)
  where
    (before, rest) = break (== "--") args
    (options, paths) = List.partition (\a -> take 1 a == "-" && a /= "-") before

complain :: [String] -> IO ()
complain = mapM_ (hPutStrLn stderr . ("wordfreq: " ++))

main :: IO ()
main = do
  hSetEncoding stdout utf8
  hSetEncoding stderr utf8
  (check, paths) <- getArgs >>= arguments
  start <- if null paths then filterM doesDirectoryExist ["/usr/share/doc", "/usr/lib/ghc-doc"]
    else pure paths
  found <- mapM named start
  let (unreadable, files) = mconcat found
  complain (map show unreadable)
  when (null files) $ complain ["no files to read"]
  when (null files || any (\(es, fs) -> not (null es) && null fs) found) $ exitWith (ExitFailure 2)
  (answer, Tally f s b w, seconds) <- run ours files
  putStrLn "     count  word"
  forM_ (top 20 answer) $ \(word, c) -> printf "%10d  %s\n" c (BC.unpack word)
  printf "\n%d files (%d skipped), %.1f MB, %d words, %d of them different\n" f s (mega b) w (M.size answer)
  info <- getProcessInfo
  caps <- getNumCapabilities
  printf "%.2f s on %d capabilities, %.1f MB/s; peak memory %.1f MB\n"
    seconds caps (mega b / seconds) (mega (processInfoPeakRSS info))
  heaps <- capabilityStats
  putStrLn "\ncapability  pages: made  adopted  full  given back   blocks freed by others"
  forM_ heaps $ \h ->
    printf "%10d  %11d  %7d  %4d  %10d   %22d\n" (capabilityNumber h) (capabilityFreshPages h)
    (capabilityAdoptedPages h) (capabilityFullPages h) (capabilityRetiredPages h) (capabilityRemoteFreed h)
  when check $ do
    (expected, _, baseSeconds) <- run bases files
    printf "\nbase's allocation: %.2f s; answers %s\n"
      baseSeconds (if expected == answer then "agree" else "DIFFER")
    when (expected /= answer) exitFailure
  unless (null unreadable) exitFailure
