{-# LANGUAGE BangPatterns #-}
-- What it costs that a garbage collector frees native memory, and what it leaves; bench/pressure runs this
-- and makes tables of it.
--
-- * ring WHO HEAP BYTES COUNT KEPT: blocks made and filled, the last KEPT of them kept; HEAP: mapN or listN,
--   alive meanwhile
-- * read WHO HEAP BYTES COUNT: a file is read again and again
-- * drop WHO BYTES COUNT: blocks made and filled, and dropped
-- * once WHO BYTES COUNT: a byte of each is written to
-- * growable WHO COUNT: vectors of a million Ints that grow, and are dropped
-- * regions WHO BYTES COUNT: a region for one block each, dropped
-- * limit WHO BYTES COUNT KEPT: as ring; how many failed; MIMALLOC_COMMIT_LIMIT is set by who runs it
-- * share WHO BYTES COUNT: four threads make so many, 16 MiB live and one MiB is allowed: the most over the
--   fewest of one
-- * filling WHO KEYS COUNT: so many requests, evenly spread, while an index is filled, 64 MiB of bodies
--   alive: requests a second until all is done
-- * service WHO MIB COUNT: so many requests; bodies that are MIB altogether come and go
--
-- WHO: mi, mi-off (nobody asks), pinned (GHC's own), base (malloc, and the finalizer free).
-- On stdout: seconds, MiB at the peak, the figure of the shape (else collections asked for), tab-separated.
module Main (main) where

import Control.Concurrent
import Control.Exception (IOException, evaluate, try)
import Control.Monad
import Data.Bits (shiftR, xor, (.&.))
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Internal as Internal
import qualified Data.ByteString.Unsafe as Unsafe
import qualified Data.IntMap.Strict as IntMap
import Data.IORef
import Data.List (foldl', isPrefixOf)
import qualified Data.Map.Strict as Map
import qualified Data.Vector.Mutable as Vector
import qualified Data.Vector.Storable.Mutable as Storable
import Data.Word (Word8)
import Foreign.ForeignPtr (newForeignPtr, withForeignPtr)
import Foreign.Marshal.Alloc (finalizerFree, mallocBytes)
import Foreign.Marshal.Utils (fillBytes)
import Foreign.Ptr (Ptr)
import GHC.Clock (getMonotonicTime)
import System.Directory (getTemporaryDirectory, removeFile)
import System.Environment (getArgs)
import System.Exit (die)
import System.IO (IOMode (..), hClose, hFileSize, hGetBuf, openBinaryTempFile, withBinaryFile)
import System.Mem (performMajorGC)

import qualified Mimalloc.ByteString as Mi
import Mimalloc.Heap
import Mimalloc.Pressure
import Mimalloc.Stats
import qualified Mimalloc.Vector as Mi

-- | Makes a block of so many bytes, and fills it.
type New = Int -> (Ptr Word8 -> IO ()) -> IO ByteString

new :: String -> New
new who = case who of
  "pinned" -> Internal.create
  "base" -> \n fill -> do
    p <- mallocBytes n
    fill p
    (\fp -> Internal.fromForeignPtr fp 0 n) <$> newForeignPtr finalizerFree p
  _ -> Mi.create

filled :: String -> Int -> Int -> IO ByteString
filled who n i = new who n (\p -> fillBytes p (fromIntegral i) n)

main :: IO ()
main = getArgs >>= \args -> case args of
  what : who : rest -> do
    when (who == "mi-off") $ setPressure PressureOff
    measured <- shape what who rest
    (seconds, figure) <- measured
    peak <- processInfoPeakRSS <$> getProcessInfo
    asked <- pressureStats
    let collections = fromIntegral (pressureMinorCollections asked + pressureMajorCollections asked)
    putStrLn (show seconds ++ "\t" ++ show (fromIntegral peak / 1048576 :: Double)
      ++ "\t" ++ show (maybe collections id figure :: Double))
  _ -> die "see the head of bench/hs/Pressure.hs"

-- | What is there before the clock starts, and then what is measured.
shape :: String -> String -> [String] -> IO (IO (Double, Maybe Double))
shape what who rest = case (what, rest) of
  ("ring", [heap, size, count, kept]) -> beside heap $ ring who (read size) (read count) (read kept)
  ("read", [heap, size, count]) -> beside heap $ reads' who (read size) (read count)
  ("drop", [size, count]) -> now $ timed $
    forM_ [1 .. read count] $ \i -> filled who (read size) i >>= evaluate . ByteString.head
  ("once", [size, count]) -> now $ timed $ replicateM_ (read count) $
    new who (read size) (`fillOne` 1) >>= evaluate
  ("growable", [count]) -> now $ timed $ replicateM_ (read count) (grown who)
  ("regions", [size, count]) -> now $ timed $ forM_ [1 .. read count] $ \i -> region who (read size) i
  ("limit", [size, count, kept]) -> now $ limit who (read size) (read count) (read kept)
  ("share", [size, count]) -> now $ share who (read size) (read count)
  ("filling", [keys, count]) -> now $ filling who (read keys) (read count)
  ("service", [mib, count]) -> now $ service who (read mib) (read count)
  _ -> die "see the head of bench/hs/Pressure.hs"
  where
    now = pure
    fillOne p n = fillBytes p 1 n

timed :: IO a -> IO (Double, Maybe Double)
timed act = do
  began <- getMonotonicTime
  _ <- act
  ended <- getMonotonicTime
  pure (ended - began, Nothing)

-- | With so much in GHC's heap.
beside :: String -> IO (Double, Maybe Double) -> IO (IO (Double, Maybe Double))
beside heap act
  | "map" `isPrefixOf` heap = do
      let !m = IntMap.fromList [(i, i * 2) | i <- [1 .. size]] :: IntMap.IntMap Int
      settled $ IntMap.size m
  | otherwise = do
      let !l = forced [1 .. size]
      settled $ length l
  where
    size = read (dropWhile (`notElem` "0123456789") heap) :: Int
    forced l = foldl' (flip seq) () l `seq` l
    settled after = performMajorGC
      >> pure (act <* (evaluate after >>= \n -> when (n /= size) (die "the heap is not whole")))

ring :: String -> Int -> Int -> Int -> IO (Double, Maybe Double)
ring who size count kept = do
  slots <- Vector.replicate kept ByteString.empty
  timed $ do
    forM_ [1 .. count] $ \i -> filled who size i >>= evaluate >>= Vector.write slots (i `rem` kept)
    forM_ [count - kept + 1 .. count] $ \i -> do
      s <- Vector.read slots (i `rem` kept)
      when (Unsafe.unsafeLast s /= fromIntegral i) $ die "a block lost its bytes"

reads' :: String -> Int -> Int -> IO (Double, Maybe Double)
reads' who size count = do
  directory <- getTemporaryDirectory
  (path, h) <- openBinaryTempFile directory "mimalloc-bench"
  ByteString.hPut h (ByteString.replicate size 65) >> hClose h
  timed (replicateM_ count $ get path >>= evaluate . ByteString.last) <* removeFile path
  where
    get path = case who of
      "pinned" -> ByteString.readFile path
      "base" -> withBinaryFile path ReadMode $ \h -> hFileSize h >>= \n ->
        new who (fromIntegral n) (\p -> void (hGetBuf h p (fromIntegral n)))
      _ -> Mi.readFile path

grown :: String -> IO ()
grown who
  | who `elem` ["pinned", "base"] = do
      start <- made 4
      let go :: Int -> Storable.IOVector Int -> IO ()
          go i v | i == million = Storable.read v (million - 1) >>= \x ->
            when (x /= million - 1) (die "an element is lost")
                 | i == Storable.length v = made (2 * i) >>= \w ->
                     Storable.copy (Storable.take i w) v >> go i w
                 | otherwise = Storable.write v i i >> go (i + 1) v
      go 0 start
  | otherwise = do
      g <- Mi.newGrowable 0
      let go i = if i == million then pure () else Mi.push g i >> go (i + 1)
      go 0
      n <- Mi.growableLength g
      when (n /= million) $ die "an element is lost"
  where
    million = 1000000 :: Int
    made n | who == "pinned" = Storable.new n
           | otherwise = (`Storable.unsafeFromForeignPtr0` n) <$>
               (mallocBytes (8 * n) >>= newForeignPtr finalizerFree)

region :: String -> Int -> Int -> IO ()
region who size i
  | who == "mi" = newHeap >>= \heap -> heapMallocForeignPtrBytes heap size
      >>= (`withForeignPtr` \p -> fillBytes (p :: Ptr Word8) (fromIntegral i) size)
  | who == "mi-ended" = do
      heap <- newHeap
      heapMallocForeignPtrBytes heap size
        >>= (`withForeignPtr` \p -> fillBytes (p :: Ptr Word8) (fromIntegral i) size)
      unsafeEndHeap heap
  | otherwise = void $ filled who size i

limit :: String -> Int -> Int -> Int -> IO (Double, Maybe Double)
limit who size count kept = do
  slots <- Vector.replicate kept ByteString.empty
  failed <- newIORef (0 :: Int)
  (seconds, _) <- timed $ forM_ [1 .. count] $ \i -> try (filled who size i) >>= \r -> case r of
    Left e -> modifyIORef' failed (+ 1) >> when (null (show (e :: IOException))) (die "?")
    Right s -> Vector.write slots (i `rem` kept) s
  Vector.read slots 0 >>= evaluate . ByteString.length >>= \n -> when (n > size) (die "?")
  (,) seconds . Just . fromIntegral <$> readIORef failed

share :: String -> Int -> Int -> IO (Double, Maybe Double)
share who size count = do
  alive <- replicateM 16 (filled who 1048576 0)
  setPressure (PressureBytes 1048576)
  total <- newIORef (0 :: Int)
  made <- replicateM 4 (newIORef (0 :: Int))
  r <- timed $ together $ flip map made $ \mine ->
    let go = do
          n <- atomicModifyIORef' total (\n -> (n + 1, n))
          when (n < count) $ filled who size n >>= evaluate >> modifyIORef' mine (+ 1) >> go
    in go
  shares <- mapM readIORef made
  mapM_ (evaluate . ByteString.last) alive
  pure (Just (fromIntegral (maximum shares) / fromIntegral (max 1 (minimum shares))) <$ r)

-- All of them at once, to the end.
together :: [IO ()] -> IO ()
together acts = do
  ends <- forM acts $ \act -> newEmptyMVar >>= \end -> end <$ forkIO (act >> putMVar end ())
  mapM_ takeMVar ends

-- A request: a body comes, of 4 to 260 KB, is looked at, and is kept until its slot is wanted again; some
-- Haskell values are made.
request :: String -> Vector.IOVector ByteString -> Int -> IO ()
request who slots i = do
  body <- filled who (4096 + mixed `rem` 262144) i
  Vector.write slots (mixed `rem` Vector.length slots) body
  evaluate (foldl' xor 0 [fromIntegral (ByteString.index body j) * k
                         | (j, k) <- zip [0, 509 .. 4095] [1 ..]] :: Int) >> pure ()
  where mixed = (i * 6364136223846793005 + 1442695040888963407) `shiftR` 33 .&. 0x3fffffff

-- Slots for so many MiB of them.
bodies :: Int -> IO (Vector.IOVector ByteString)
bodies mib = Vector.replicate (mib * 1048576 `quot` 135168) ByteString.empty

service :: String -> Int -> Int -> IO (Double, Maybe Double)
service who mib count = do
  slots <- bodies mib
  next <- newIORef (0 :: Int)
  r <- timed $ together $ replicate 8 $
    let go = atomicModifyIORef' next (\n -> (n + 1, n)) >>= \n -> when (n < count) $ request who slots n >> go
    in go
  pure (Just (fromIntegral count / fst r) <$ r)

-- A request comes with each so many keys: else whoever collects seldom would have done them all before there
-- was an index.
filling :: String -> Int -> Int -> IO (Double, Maybe Double)
filling who keys count = do
  slots <- bodies 64
  next <- newEmptyMVar
  index <- newIORef Map.empty
  let fill = do
        forM_ [1 .. keys] $ \i -> do
          modifyIORef' index (Map.insert (i * 2654435761 `rem` 4294967296) i)
          when (i `rem` (keys `quot` count) == 0) $ putMVar next (Just i)
        replicateM_ 4 (putMVar next Nothing)
      serve = takeMVar next >>= mapM_ (\n -> request who slots n >> serve)
  r <- timed $ together (fill : replicate 4 serve)
  size <- Map.size <$> readIORef index
  when (size /= keys) $ die "a key is lost"
  pure (Just (fromIntegral count / fst r) <$ r)
