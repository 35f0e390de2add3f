{-# LANGUAGE ScopedTypeVariables #-}
-- What users of bytestring and vector look for next, against the originals; and stores, against a map.
module Interface.More (tests, things) where

import Control.Arrow ((&&&))
import Control.Concurrent
import Control.DeepSeq (rnf)
import Control.Exception
import Control.Monad
import Control.Monad.ST (runST)
import qualified Data.ByteString as B
import Data.ByteString.Builder (byteString, intDec, lazyByteString, toLazyByteString)
import Data.ByteString.Builder.Extra (byteStringInsert, flush)
import qualified Data.ByteString.Char8 as Char8
import qualified Data.ByteString.Internal as Internal
import qualified Data.ByteString.Lazy as L
import qualified Data.ByteString.Short as Short
import Data.IORef
import Data.List (foldl')
import Data.STRef
import qualified Data.Vector.Storable as V
import qualified Data.Vector.Storable.Mutable as VM
import Data.Word (Word32, Word8)
import Foreign.Marshal.Array (pokeArray)
import Foreign.Ptr (castPtr)
import Foreign.Storable (Storable (..))
import GHC.IO.Exception (IOErrorType (..), IOException (..))
import GHC.Stats (GCDetails (..), RTSStats (..), getRTSStats)
import System.Directory (doesFileExist, getTemporaryDirectory, listDirectory, removeFile)
import System.IO
import System.IO.Unsafe (unsafeInterleaveIO, unsafePerformIO)
import System.Exit (ExitCode (..))
import System.Mem (performMajorGC)
import System.Process (callProcess, createPipe)
import System.Timeout (timeout)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit
import Test.Tasty.QuickCheck

import Api.Child (child)
import Api.Support
import Mimalloc (isInvalidArgument)
import qualified Mimalloc.ByteString as M
import Mimalloc.Heap
import Mimalloc.Primitive (mi_is_in_heap_region)
import qualified Mimalloc.Stats as Stats
-- Beside all of System.IO.
import Mimalloc.Store
import qualified Mimalloc.Store as Store
import qualified Mimalloc.Vector as MV

tests :: TestTree
tests = testGroup "as in bytestring and vector"
  [ testGroup "byte strings" bytes
  , testGroup "vectors" vectors
  , testGroup "vectors that grow" growing
  , testGroup "stores" stores
  ]

bytes :: [TestTree]
bytes =
  [ testProperty "append" $ \a b -> M.append (B.pack a) (B.pack b) === B.pack (a ++ b)
  , testProperty "replicate" $ forAll (choose (-3, 3000)) $ \n w -> M.replicate n w === B.replicate n w
  , testCase "replicate, much" $ M.replicate 5000001 7 @?= B.replicate 5000001 7
  , testProperty "map" $ \ws (Fun _ f) -> M.map f (B.pack ws) === B.map f (B.pack ws)
  , testProperty "intercalate" $ \ws wss -> let (s, ss) = (B.pack ws, map B.pack wss) in
      M.intercalate s ss === B.intercalate s ss
  , testProperty "unsafeCreate, unsafeCreateUptoN" $ \ws -> forAll (choose (0, 300)) $ \more ->
      let n = length ws in M.unsafeCreate n (`pokeArray` ws) === B.pack ws
        .&&. M.unsafeCreateUptoN (n + more) (\p -> n <$ pokeArray p ws) === B.pack ws
  , testProperty "copyLazy" $ \wss -> let s = L.fromChunks (map B.pack wss) in
      L.toChunks (M.copyLazy s) === L.toChunks s
  , testCase "copyLazy, in our blocks, chunk by chunk" $ do
      let s = M.copyLazy (L.fromChunks (B.replicate 100000 1 : throw Overflow))
      mapM_ (inOurs "copyLazy") (take 1 (L.toChunks s))
      try (evaluate (L.length s)) >>= (@?= Left Overflow)
  , testProperty "unfoldrN" $
      forAll (choose (-3, 300)) $ \n (Fun _ f :: Fun Word8 (Maybe (Word8, Word8))) s ->
        M.unfoldrN n f s === B.unfoldrN n f s
  , testProperty "packCString" $ \ws -> ioProperty $
      let s = B.pack (filter (/= 0) ws) in (=== s) <$> B.useAsCString s M.packCString
  , testProperty "packCStringLen" $ \ws -> ioProperty $
      let s = B.pack ws in (=== s) <$> B.useAsCStringLen s M.packCStringLen
  , testProperty "fromShort" $ \ws -> let s = Short.pack ws in M.fromShort s === Short.fromShort s
  , testProperty "fromLazy" $ \wss -> let s = L.fromChunks (map B.pack wss) in M.fromLazy s === L.toStrict s
  , testProperty "create', createUptoN', createAndTrim'" $ \ws ->
        forAll (choose (length ws, length ws + 300)) $ \room ->
          forAll (choose (0, length ws)) $ \from -> ioProperty $ do
      let n = length ws - from
          fill p = (from, n, 'x') <$ pokeArray p ws
      theirs <- Internal.createAndTrim' room fill
      trimmed <- M.createAndTrim' room fill
      upto <- M.createUptoN' room (\p -> (length ws, 'x') <$ pokeArray p ws)
      all_ <- M.create' (length ws) (\p -> 'x' <$ pokeArray p ws)
      pure (trimmed === theirs .&&. upto === (B.pack ws, 'x') .&&. all_ === upto)
  , testProperty "builders" $ \parts -> let b = foldMap part (parts :: [(Int, [Word8])]) in
      M.toStrictByteString b === L.toStrict (toLazyByteString b)
        .&&. M.toLazyByteString b === toLazyByteString b
  , testProperty "a builder's result holds what it needs" $ \ws ->
      not (any B.null (L.toChunks (M.toLazyByteString (byteString (B.pack ws)))))
  , testCase "a builder that never ends" $ L.take 100000 (M.toLazyByteString (mconcat (map intDec [1 ..])))
      @?= L.take 100000 (toLazyByteString (mconcat (map intDec [1 ..])))
  , testCase "a builder that throws" $ do
      r <- try (evaluate (L.length (M.toLazyByteString (intDec 1 <> throw Overflow))))
      r @?= Left Overflow
  , testCase "regions" $ do
      heap <- newHeap
      a <- M.heapCreate heap 3 (`pokeArray` [97, 98, 99])
      b <- M.heapConcat heap [a, B.empty, a]
      b @?= Char8.pack "abcabc"
      withFile_ (B.replicate 100000 5) $ \path -> M.heapReadFile heap path >>= (@?= B.replicate 100000 5)
      M.heapReadFile heap "/proc/self/stat" >>= assertBool "what has no size" . (> 10) . B.length
  , testCase "lines and what there is" $
        withFile_ (Char8.pack "one\ntwo\n\nthree") $ \path -> withBinaryFile path ReadMode $ \h -> do
      M.hGetLine h >>= (@?= Char8.pack "one")
      M.hGetNonBlocking h 2 >>= (@?= Char8.pack "tw")
      M.hGetLine h >>= (@?= Char8.pack "o")
      M.hGetLine h >>= (@?= B.empty)
      M.hGetLine h >>= (@?= Char8.pack "three")
      try (M.hGetLine h)
        >>= either (\e -> const (pure ()) (e :: IOException)) (const (assertFailure "no end"))
  , testCase "lazily" $ forM_ [0, 10, 32768, 100001] $ \n -> withFile_ (B.replicate n 9) $ \path -> do
      s <- M.readFileLazy path
      L.toStrict s @?= B.replicate n 9
  , testProperty "toLazy" $ \ws -> let s = B.pack ws in ioProperty $ do
      mapM_ (inOurs "toLazy") (L.toChunks (M.toLazy s))
      pure (M.toLazy s === L.fromStrict s)
  , testProperty "lazy pieces, as bytestring reads them" $
        forAll (choose (0, 200000)) $ \n -> forAll (listOf (choose (0, 90000))) $ \ks ->
      ioProperty $ withFile_ (patterned n) $ \path -> do
        let pieces :: (Handle -> Int -> IO L.ByteString) -> IO [L.ByteString]
            pieces get = withBinaryFile path ReadMode $ \h -> mapM (get h) ks
        theirs <- pieces L.hGet
        now <- pieces M.hGetLazy
        there <- pieces M.hGetNonBlockingLazy
        mapM_ (inOurs "a chunk") (concatMap L.toChunks (now ++ there))
        pure (now === theirs .&&. there === theirs
          .&&. all ((<= 32768) . B.length) (concatMap L.toChunks now))
  , testCase "lazily, of a handle" $ withFile_ (patterned 100001) $ \path -> do
      s <- withBinaryFile path ReadMode (`M.hGetLazy` maxBound)
      L.toStrict s @?= patterned 100001                       -- it is read: the handle is closed
      h <- openBinaryFile path ReadMode
      hClose h
      forM_ [M.hGetLazy h 1, M.hGetNonBlockingLazy h 1] $ \act -> try act
        >>= either (\e -> const (pure ()) (e :: IOException)) (const (assertFailure "it is closed"))
  , testCase "what there is in a pipe, lazily" $ do
      (from, to) <- createPipe
      mapM_ (`hSetBinaryMode` True) [from, to]
      hSetBuffering to NoBuffering
      M.hGetNonBlockingLazy from 100 >>= (@?= L.empty)
      L.hPut to (M.toLazy (patterned 50000))                  -- a pipe has room for 64 KiB
      M.hGetNonBlockingLazy from 40000 >>= (@?= patterned 40000) . L.toStrict
      M.hGetNonBlockingLazy from 40000 >>= (@?= B.drop 40000 (patterned 50000)) . L.toStrict
      B.hPut to (Char8.pack "abc") >> hClose to
      M.hGetLazy from 100 >>= (@?= L.fromStrict (Char8.pack "abc"))
      M.hGetNonBlockingLazy from 100 >>= (@?= L.empty)
      hClose from
  , testCase "many pieces, and a small stack" $
      child [("GHCRTS", "-K1m")] "many pieces" >>= (@?= (ExitSuccess, "", ""))
  , testCase "many heaps, and a small stack" $
      child [("GHCRTS", "-K100k")] "many heaps" >>= (@?= (ExitSuccess, "", ""))
  , testCase "mapped" $ forM_ [0, 1, 4096, 100001] $ \n -> withFile_ (B.replicate n 9) $ \path -> do
      s <- M.mapFile path
      s @?= B.replicate n 9
      try (M.mapFile (path ++ ".not there")) >>=
        either (\e -> const (pure ()) (e :: IOException)) (const (assertFailure "a file that is not there"))
  , testCase "what cannot be mapped is read" $ forM_
        ["/proc/version", "/proc/filesystems", "/sys/kernel/mm/transparent_hugepage/enabled"] $ \path -> do
      there <- doesFileExist path
      when there $ do
        s <- B.readFile path
        assertBool "nothing in it" (B.length s > 0)
        M.mapFile path >>= (@?= s)
        v <- MV.mapFile path
        v @?= V.fromList (B.unpack s)
  , testCase "only files are mapped" $ withFile_ B.empty $ \path -> do
      fds <- length <$> listDirectory "/proc/self/fd"
      let pipe = path ++ ".pipe"
          nothing = path ++ ".not there"
      callProcess "mkfifo" [pipe]
      (`finally` removeFile pipe) $ forM_
          [ (pipe, InappropriateType), ("/", InappropriateType), ("/dev/zero", InappropriateType)
          , (nothing, NoSuchThing) ] $ \(p, kind) ->
        forM_ [void (M.mapFile p), void (MV.mapFile p :: IO (V.Vector Word8))] $ \act -> do
          r <- timeout 60000000 (try act)                   -- who opens a pipe may wait for ever
          case r of
            Just (Left e) -> (ioe_type e, ioe_location e, ioe_filename e) @?= (kind, "mapFile", Just p)
            _ -> assertFailure (p ++ " was mapped, or waited for")
      length <$> listDirectory "/proc/self/fd" >>= (@?= fds)
  , testCase "mapped, and given back" $ withFile_ (B.replicate 50000000 9) $ \path -> do
      forM_ [1 .. 20 :: Int] $ \_ -> M.mapFile path >>= evaluate . B.length >> collectAll
      -- What an idle capability collected goes half a second later.
      let go n = do
            maps <- Char8.readFile "/proc/self/maps"
            if length (filter (B.isInfixOf (Char8.pack path)) (Char8.lines maps)) <= 2 then pure ()
              else if n == 0 then assertFailure "they are still mapped"
              else threadDelay 20000 >> go (n - 1)
      go (1000 :: Int)
  ]
  where
    part (n, ws) = case n `mod` 5 of
      0 -> intDec n
      1 -> byteString (B.concat (replicate 300 (B.pack ws)))
      2 -> byteStringInsert (B.pack ws)
      3 -> lazyByteString (L.pack ws) <> flush
      _ -> byteString (B.pack ws)

withFile_ :: B.ByteString -> (FilePath -> IO a) -> IO a
withFile_ content act = do
  directory <- getTemporaryDirectory
  bracket (openBinaryTempFile directory "mimalloc") (removeFile . fst) $ \(path, h) ->
    B.hPut h content >> hClose h >> act path

-- Its block is from our heap.
inOurs :: String -> B.ByteString -> Assertion
inOurs name s = M.unsafeUseAsByteString s $ \p _ -> mi_is_in_heap_region p >>= assertBool name . (== 1)

-- So many bytes that say where they are.
patterned :: Int -> B.ByteString
patterned n = fst (B.unfoldrN n (\i -> Just (fromIntegral (i `quot` 7 * 31 + i), i + 1)) (0 :: Int))

vectors :: [TestTree]
vectors =
  [ testCase "mapped" $ forM_ [0, 1, 15, 16, 100001] $ \n -> withFile_ (B.replicate n 9) $ \path -> do
      v <- MV.mapFile path
      v @?= V.replicate (n `quot` 4) (0x09090909 :: Word32)
      try (MV.mapFile (path ++ ".not there") :: IO (V.Vector Int)) >>=
        either (\e -> const (pure ()) (e :: IOException)) (const (assertFailure "a file that is not there"))
  , testProperty "unfoldrN" $ forAll (choose (-3, 300)) $ \n (Fun _ f :: Fun Int (Maybe (Int, Int))) s ->
      MV.unfoldrN n f s === V.unfoldrN n f s
  , testProperty "map" $ \(xs :: [Int]) (Fun _ f :: Fun Int Word32) ->
      MV.map f (V.fromList xs) === V.map f (V.fromList xs)
  , testCase "map, of elements that throw" $ do
      r <- try (evaluate (MV.map (10 `div`) (V.fromList [1, 0, 2 :: Int])))
      r @?= Left DivideByZero
  , testProperty "fromListN" $ forAll (choose (-3, 30)) $ \n (xs :: [Int]) ->
      MV.fromListN n xs === V.fromListN (max 0 n) xs
  , testProperty "concat" $ \(xss :: [[Int]]) ->
      MV.concat (map V.fromList xss) === V.concat (map V.fromList xss)
  , testProperty "generateM, replicateM" $ forAll (choose (-3, 300)) $ \n -> ioProperty $ do
      r <- newIORef (0 :: Int)
      let step = atomicModifyIORef' r (\k -> (k + 1, k))
      a <- MV.replicateM n step
      b <- MV.generateM n (pure . (* 2))
      pure (a === V.generate n id .&&. b === V.generate n (* 2))
  , testProperty "generateST, replicateST" $ forAll (choose (-3, 300)) $ \n ->
      runST (newSTRef (0 :: Int) >>= \r -> MV.replicateST n (readSTRef r <* modifySTRef' r (+ 1)))
        === V.generate n id
      .&&. runST (MV.generateST n (pure . (* 2))) === V.generate n (* 2)
  , testCase "heaps, stores and growables are themselves" $ do
      (h, i) <- (,) <$> newHeap <*> newHeap
      (g, k) <- (,) <$> MV.newGrowable 0 <*> MV.newGrowable 0 :: IO (MV.Growable Int, MV.Growable Int)
      (s, t) <- (,) <$> Store.newStore <*> Store.newStore
      (h == h, h == i, g == g, g == k, s == s, s == t) @?= (True, False, True, False, True, False)
  , testCase "and parts of what is evaluated" $ do
      h <- newHeap
      g <- MV.newGrowable 0 :: IO (MV.Growable Int)
      s <- Store.newStore
      k <- Store.putString s B.empty
      evaluate (rnf (h, g, s, [k]))
      r <- try (evaluate (rnf (s, undefined :: GCHeap, g)))
      either (\e -> const (pure ()) (e :: ErrorCall)) (const (assertFailure "not evaluated")) r
  , testProperty "replicate, any size" $ forAll (choose (0, 3000)) $ \n ->
      MV.replicate n (Line (fromIntegral n)) === V.replicate n (Line (fromIntegral n))
  , testProperty "in ST" $ \(xs :: [Int]) ->
      let more v = forM_ [0 .. length xs - 1] (\i -> VM.read v i >>= VM.write v i . (+ 1)) >> MV.freezeST v
      in runST (MV.thawST (V.fromList xs) >>= more) === V.map (+ 1) (V.fromList xs)
  , testProperty "heapCopyVector" $ \(xs :: [Int]) -> ioProperty $
      newHeap >>= \h -> (=== V.fromList xs) <$> MV.heapCopyVector h (V.fromList xs)
  ]

growing :: [TestTree]
growing =
  [ testProperty "modify, for, fold" $ \(xs :: [Int]) -> ioProperty $ do
      g <- MV.newGrowable 0
      mapM_ (MV.push g) xs
      forM_ [0 .. length xs - 1] $ \i -> MV.modifyGrowable g i (* 2)
      seen <- newIORef []
      MV.forGrowable g (\i x -> modifyIORef' seen ((i, x) :))
      all_ <- MV.foldGrowable g (\s x -> pure (s + x)) 0
      there <- readIORef seen
      pure (reverse there === zip [0 ..] (map (* 2) xs) .&&. all_ === 2 * sum xs)
  , testProperty "a byte string of bytes that grew" $ \wss -> ioProperty $ do
      g <- MV.newGrowable 0
      forM_ wss $ \ws -> M.appendGrowable g (B.pack ws) >> MV.push g 0
      s <- M.takeGrowable g
      n <- MV.growableLength g
      pure (s === B.concat [B.snoc (B.pack ws) 0 | ws <- wss] .&&. n === 0)
  , testCase "an element that pushes when it is evaluated" $ forM_ [0, 1, 8, 100000] $ \n -> do
      g <- MV.newGrowable 0
      MV.push g (-1 :: Int)
      let pushing x = unsafeInterleaveIO (mapM_ (MV.push g) [1 .. n] >> pure x)
      pushing 7 >>= MV.push g
      pushing 8 >>= MV.writeGrowable g 0
      pushing 9 >>= MV.modifyGrowable g 1 . const
      v <- MV.takeVector g
      v @?= V.fromList (8 : (if n > 0 then 9 : [2 .. n] ++ [7] else [9]) ++ concat (replicate 2 [1 .. n]))
  , testCase "an element whose fields push" $ forM_ [0, 1, 8, 100000] $ \n -> do
      g <- MV.newGrowable 0
      let pushing x = unsafeInterleaveIO (forM_ [1 .. n] (\i -> MV.push g (Pair i i)) >> pure x)
      MV.push g (Pair 0 0)
      pushing 7 >>= MV.push g . Pair 6
      pushing 8 >>= MV.writeGrowable g 0 . (`Pair` 9)
      pushing 5 >>= MV.modifyGrowable g 0 . const . Pair 4
      (V.head &&& V.toList . V.drop (n + 1) . V.take (n + 2)) <$> MV.takeVector g
        >>= (@?= (Pair 4 5, [Pair 6 7]))
  , testCase "an element that takes the vector" $ do
      g <- MV.newGrowable 0
      mapM_ (MV.push g) [1 .. 100 :: Int]
      let taking x = unsafeInterleaveIO (x <$ MV.takeVector g)
      taking 7 >>= MV.push g
      MV.takeVector g >>= (@?= V.singleton 7)
      mapM_ (MV.push g) [1 .. 100]
      invalid "writeGrowable" (taking 7 >>= MV.writeGrowable g 1)
      mapM_ (MV.push g) [1 .. 100]
      invalid "modifyGrowable" (taking 7 >>= MV.modifyGrowable g 1 . const)
  , testCase "an element that throws" $ do
      g <- MV.newGrowable 0
      mapM_ (MV.push g) [1 .. 4 :: Int]
      r <- try (MV.push g (throw Overflow))
      r @?= Left Overflow
      MV.push g 5
      MV.takeVector g >>= (@?= V.fromList [1 .. 5])
  ]

-- Its fields are evaluated when it is poked.
data Pair = Pair Int Int deriving (Eq, Show)
instance Storable Pair where
  sizeOf _ = 16
  alignment _ = 8
  peek p = Pair <$> peek (castPtr p) <*> peekElemOff (castPtr p) 1
  poke p (Pair a b) = poke (castPtr p) a >> pokeElemOff (castPtr p) 1 b

stores :: [TestTree]
stores =
  [ testProperty "against a list" $ \(steps :: [(Int, [Word8])]) -> ioProperty $ do
      store <- Store.newStore
      let go live gone [] = do
            forM_ live $ \(h, s) -> Store.getString store h >>= \t -> when (s /= t) $ fail "another string"
            forM_ gone $ \h -> forM_ [void (Store.getString store h), Store.deleteString store h
                                     , Store.replaceString store h B.empty] $ \act ->
              try act >>= either (\e -> const (pure ()) (e :: IOException)) (const (fail "a deleted string"))
            n <- Store.storeSize store
            pure (n === length live)
          go live gone ((k, ws) : rest) = case live of
            (h, _) : others | k `mod` 3 == 1 -> Store.deleteString store h >> go others (h : gone) rest
            _ : _ | k `mod` 3 == 2 -> do
              let (before, after) = splitAt (k `mod` length live) live
              case after of
                (h, _) : others -> Store.replaceString store h (B.pack ws)
                  >> go (before ++ (h, B.pack ws) : others) gone rest
                [] -> go live gone rest
            _ -> Store.putString store (B.pack ws) >>= \h -> go (live ++ [(h, B.pack ws)]) gone rest
      go [] [] steps
  , testCase "strings of a file" $ withFile_ (Char8.pack "abc") $ \path -> do
      let put :: Store -> Handle -> IO StringHandle
          put store file = B.hGetContents file >>= putString store
      store <- newStore
      h <- openBinaryFile path ReadMode >>= put store
      getString store h >>= (@?= Char8.pack "abc")
  , testCase "everything is given back" $ do
      before <- liveBlocks
      store <- Store.newStore
      hs <- forM [1 .. 10000] $ \i -> Store.putString store (B.replicate (i `mod` 300) 1)
      mapM_ (Store.deleteString store) (take 5000 hs)
      Store.storeSize store >>= (@?= 5000)
      holds "the blocks are free again" $ (<= before + 3) <$> liveBlocks
  , testCase "many threads at once" $ do
      store <- Store.newStore
      dones <- forM [1 .. 8 :: Int] $ \t -> do
        done <- newEmptyMVar
        done <$ forkIO (try (worker store t) >>= putMVar done)
      forM_ dones $ takeMVar >=> either (\e -> assertFailure (show (e :: SomeException))) pure
      Store.storeSize store >>= (@?= 8 * 50)
  , testCase "who is interrupted while he waits leaves nothing behind" $ do
      store <- Store.newStore
      long <- Store.putString store (B.replicate 20000000 1)
      h <- Store.putString store (B.replicate 100 2)
      others <- forM [1, 2 :: Int] $ \_ -> forkIO (forever (Store.getString store long))
      before <- liveBlocks
      replicateM_ 100 $ do
        waiting <- forM [1 .. 5 :: Int] $ \i ->
          forkIO (if even i then void (Store.putString store (B.replicate 200 3))
            else Store.replaceString store h (B.replicate 300 4))
        threadDelay 300
        mapM_ killThread waiting
      mapM_ killThread others
      put <- subtract 2 <$> Store.storeSize store
      holds "only what was put in is there" $ (<= before + put + 2) <$> liveBlocks
      Store.deleteString store long                       -- the store is there until now
  , testCase "a value that is interrupted is not that exception for ever" $ do
      store <- Store.newStore
      long <- Store.putString store (B.replicate 20000000 1)
      h <- Store.putString store B.empty
      others <- forM [1, 2 :: Int] $ \_ -> forkIO (forever (Store.getString store long))
      forM_ [1 .. 100] $ \i -> do
        let s = B.replicate 200 i
            put = unsafePerformIO (Store.putString store s)
            replaced = unsafePerformIO (Store.replaceString store h s)
        _ <- timeout 300 (evaluate put)
        _ <- timeout 300 (evaluate replaced)
        Store.getString store put >>= (@?= s)
        evaluate replaced
        Store.getString store h >>= (@?= s)
      mapM_ killThread others
  , testCase "a long string is copied while it is replaced and deleted" $ do
      store <- Store.newStore
      before <- liveBlocks
      forM_ [1 .. 10] $ \i -> do
        h <- Store.putString store (B.replicate 2000000 i)
        ends <- replicateM 4 $ newEmptyMVar >>= \end -> end <$ forkIO (
          try (forever (Store.getString store h >>= whole)) >>= putMVar end)
        yield
        Store.replaceString store h (B.replicate 1500000 (i + 100))
        yield
        Store.deleteString store h
        forM_ ends $ takeMVar >=> either
          (\e -> unless (isInvalidArgument e) (assertFailure (show e))) (const (pure ()))
      holds "the blocks are free again" $ (<= before + 2) <$> liveBlocks
      Store.storeSize store >>= (@?= 0)
  , testCase "a string that GHC's heap has no room for" $
      child [("GHCRTS", "-M64m")] "no room" >>= (@?= (ExitSuccess, "", ""))
  , testCase "an argument is evaluated where an exception can interrupt it" $ do
      store <- Store.newStore
      h <- Store.putString store B.empty
      forM_ [void . Store.putString store, Store.replaceString store h] $ \put -> do
        started <- newEmptyMVar
        ended <- newEmptyMVar
        t <- forkIO $ put (unsafePerformIO (putMVar started () >> forever yield)) `finally` putMVar ended ()
        takeMVar started
        _ <- forkIO (killThread t)
        timeout 60000000 (takeMVar ended) >>= (@?= Just ())
  , struck "a store of its own" (Store.newStore >>= strike_)
  , testCase "the collector copies nothing of it" $
      child [("GHCRTS", "-T")] "copied" >>= (@?= (ExitSuccess, "", ""))
  ]
  where
    whole s = unless (B.count (B.head s) s == B.length s) $ fail "a mixture"
    worker store t = do
      hs <- forM [1 .. 100] $ \i -> Store.putString store (B.replicate i (fromIntegral t))
      forM_ (zip [1 ..] hs) $ \(i, h) -> Store.replaceString store h (B.replicate (2 * i) (fromIntegral t))
      forM_ (zip [1 ..] hs) $ \(i, h) ->
        Store.getString store h >>= (@?= B.replicate (2 * i) (fromIntegral t))
      mapM_ (Store.deleteString store) (take 50 hs)
    strike_ store = do
      h <- Store.putString store (B.replicate 100 1)
      Store.replaceString store h (B.replicate 200 2)
      s <- Store.getString store h
      unless (B.length s == 200) $ fail "another string"
      Store.deleteString store h

-- What a process of its own does, with statistics: a major collection copies, and has live, what it did and
-- had before there were 50,000 strings, which would be a megabyte and more.
things :: [(String, IO ())]
things = [("no room", noRoom), ("many pieces", manyPieces), ("many heaps", manyHeaps), ("copied", do
  store <- Store.newStore
  handles <- VM.new 50000
  before <- collected
  forM_ [0 .. 49999] $ \i -> Store.putString store (B.replicate 20 1) >>= VM.write handles i
  after <- collected
  n <- Store.storeSize store
  last_ <- VM.read handles 49999 >>= Store.getString store
  when (B.length last_ /= 20 || n /= 50000 || after > before + 200000) $ fail (show (before, after)))]
  where
    collected = do
      s <- performMajorGC >> gc <$> getRTSStats
      pure (gcdetails_live_bytes s + gcdetails_copied_bytes s)

-- The store goes on, and the string is as free as any when it is deleted.
noRoom :: IO ()
noRoom = do
  store <- Store.newStore
  h <- M.create 100000000 (const (pure ())) >>= Store.putString store
  other <- Store.putString store (Char8.pack "abc")
  performMajorGC >> performMajorGC
  r <- try (Store.getString store h)
  case r of
    Left HeapOverflow -> pure ()
    Left e -> throwIO e
    Right _ -> fail "there was room"
  t <- timeout 60000000 (Store.getString store other)
  when (t /= Just (Char8.pack "abc")) $ fail "the store is locked"
  Store.deleteString store h
  (_, bytes_) <- collectAll >> Stats.liveBlocks
  n <- Store.storeSize store
  when (n /= 1 || bytes_ > 50000000) $ fail (show (n, bytes_))

-- With a stack of a MiB.
manyPieces :: IO ()
manyPieces = do
  heap <- newHeap
  s <- M.heapConcat heap pieces
  let lengths_ = [B.length s, B.length (M.concat pieces), B.length (M.fromLazy (L.fromChunks pieces))
                 , V.length (MV.concat (replicate many (V.singleton 'x')))]
  when (lengths_ /= replicate 4 many) $ fail (show lengths_)
  where
    many = 1000000
    pieces = replicate many (Char8.pack "a")

-- With a stack of 100 KB.
manyHeaps :: IO ()
manyHeaps = do
  s <- foldM (\rest _ -> (: rest) <$> (newHeap >>= (`M.heapMallocByteString` 1))) [] [1 .. 8000 :: Int]
  n <- length . Stats.statsHeaps <$> Stats.getStats
  when (n < length s) $ fail (show n)
  when (foldl' (\m b -> m + B.length b) 0 s /= length s) $ fail "they live until now"
