{-# LANGUAGE OverloadedStrings #-}
{-# LANGUAGE ScopedTypeVariables #-}
-- Byte strings over our blocks: contents, where they lie, what they leave behind, and failures.
module Interface.ByteString (tests) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import qualified Data.ByteString as B
import Data.ByteString.Builder (Builder, byteString, intDec, lazyByteString, toLazyByteString)
import Data.ByteString.Builder.Extra (byteStringCopy, byteStringInsert, flush, toLazyByteStringWith)
import qualified Data.ByteString.Internal as Internal
import qualified Data.ByteString.Lazy as L
import Data.Word (Word8)
import Foreign.C.String (withCString)
import Foreign.Marshal.Array (peekArray, pokeArray)
import Foreign.Ptr (nullPtr)
import Foreign.Storable (pokeByteOff)
import System.Directory (getTemporaryDirectory, removeFile)
import System.IO
import System.Process (createPipe)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit
import Test.Tasty.QuickCheck

import Api.Support
import Mimalloc (mi_malloc, mi_strdup, mi_usable_size)
import Mimalloc.Heap
import Mimalloc.Primitive (mi_is_in_heap_region)
import qualified Mimalloc.ByteString as M

tests :: TestTree
tests = testGroup "bytestring"
  [ testProperty "copy" $ \ws -> let s = B.pack ws in M.copy s === s
  , testProperty "pack" $ \ws -> M.pack ws === B.pack ws
  , testProperty "concat" $ \wss -> let ss = map B.pack wss in M.concat ss === B.concat ss
  , testProperty "concat of slices" $ \ws -> forAll (choose (0, length ws)) $ \n ->
      let s = B.pack ws in M.concat [B.drop n s, B.take n s] === B.drop n s <> B.take n s
  , testCase "they lie in our heap" $ do
      ours "copy" (M.copy "abc")
      ours "pack" (M.pack [1, 2, 3])
      ours "concat" (M.concat ["a", "b"])
      M.mallocByteString 10 >>= ours "mallocByteString"
      M.zallocByteString 10 >>= ours "zallocByteString"
      M.create 10 (const (pure ())) >>= ours "create"
      M.createUptoN 10 (const (pure 5)) >>= ours "createUptoN"
      M.createAndTrim 10 (const (pure 5)) >>= ours "createAndTrim"
      mapM_ (ours "toLazyByteString") (L.toChunks (M.toLazyByteString (byteString (B.replicate 300 7))))
      -- A small result is bytestring's, with no finalizer.
      forM_ (L.toChunks (M.toLazyByteString (intDec 7))) $ \s ->
        M.unsafeUseAsByteString s (\p _ -> mi_is_in_heap_region p) >>= (@?= 0)
      withHeap $ \h -> M.heapMallocByteString h 10 >>= M.unsafeUseAsByteString `flip` \p _ ->
        heapContainsBlock h p >>= (@?= True)
  , testProperty "createUptoN, createAndTrim" $ \ws ->
        forAll (choose (length ws, length ws + 3000)) $ \room -> ioProperty $ do
      let fill p = length ws <$ pokeArray p ws
      theirs <- Internal.createAndTrim room fill
      upto <- M.createUptoN room fill
      trimmed <- M.createAndTrim room fill
      pure (upto === theirs .&&. trimmed === theirs)
  , testProperty "bytestring's functions on them" $ \ws -> forAll (choose (0, length ws)) $ \n ->
      let s = B.pack ws; t = M.pack ws in
        B.drop n t === B.drop n s .&&. B.sort t === B.sort s .&&. t <> s === s <> t
          .&&. M.copy (B.take n t) === B.take n s .&&. compare s t === EQ
  , testCase "large ones" $ do
      let s = B.replicate 3000000 7
      M.copy s @?= s
      M.concat [s, "x", s] @?= B.concat [s, "x", s]
  , testCase "zallocByteString" $ forM_ [0, 1, 100, 5000, 2000000] $ \n -> do
      s <- M.zallocByteString n
      s @?= B.replicate n 0
      t <- newHeap >>= \h -> M.heapZallocByteString h n
      t @?= B.replicate n 0
  , testCase "mallocByteString" $ forM_ [0, 1, 100, 5000] $ \n -> do
      s <- M.mallocByteString n
      M.unsafeUseAsByteString s $ \p m -> (m @?= n) >> forM_ [0 .. n - 1] (\i -> pokeByteOff p i (7 :: Word8))
      s @?= B.replicate n 7
  , testCase "create and its kin" $ do
      M.create 3 (`pokeArray` [1, 2, 3]) >>= (@?= B.pack [1, 2, 3])
      M.createUptoN 10 (\p -> 3 <$ pokeArray p [1, 2, 3]) >>= (@?= B.pack [1, 2, 3])
      M.createAndTrim 10 (\p -> 3 <$ pokeArray p [1, 2, 3]) >>= (@?= B.pack [1, 2, 3])
      M.createAndTrim 10 (const (pure 0)) >>= (@?= "")
      M.createAndTrim 3 (\p -> 3 <$ pokeArray p [1, 2, 3]) >>= (@?= B.pack [1, 2, 3])
  , testCase "createAndTrim gives back what is left over" $ do
      s <- M.createAndTrim 1000000 (\p -> 100 <$ pokeArray p (replicate 100 7))
      s @?= B.replicate 100 7
      M.unsafeUseAsByteString s $ \p _ -> mi_usable_size p >>= \n -> assertBool (show n) (n < 1000)
  , testCase "failures" $ do
      invalid "mallocByteString" (M.mallocByteString (-1))
      invalid "zallocByteString" (M.zallocByteString minBound)
      invalid "create" (M.create (-1) (const (pure ())))
      invalid "createUptoN" (M.createUptoN (-1) (const (pure 0)))
      invalid "createUptoN" (M.createUptoN 5 (const (pure 6)))
      invalid "createUptoN" (M.createUptoN 5 (const (pure (-1))))
      invalid "createAndTrim" (M.createAndTrim 5 (const (pure 6)))
      invalid "createAndTrim" (M.createAndTrim (-5) (const (pure 6)))
      invalid "hGet" (M.hGet stdin (-1))
      invalid "unsafePackMallocByteString" (M.unsafePackMallocByteString nullPtr (-1))
      invalid "heapMallocByteString" (newHeap >>= \h -> M.heapMallocByteString h (-1))
      exhausted "mallocByteString" (M.mallocByteString maxBound)
      exhausted "createAndTrim" (M.createAndTrim maxBound (const (pure 0)))
  , testCase "an exception while filling frees the block" $ do
      before <- liveBlocks
      forM_ [M.create 1000 (const (throwIO Overflow)), M.createAndTrim 1000 (const (throwIO Overflow))
            , M.createUptoN 1000 (const (throwIO Overflow))] $ \act ->
        replicateM_ 300 (try act >>= either (@?= Overflow) (const (assertFailure "no exception")))
      holds "the blocks are free again" $ (< before + 50) <$> liveBlocks
  , testCase "the garbage collector frees them" $ do
      before <- liveBlocks
      forM_ [1 .. 2000] $ \i -> evaluate (M.copy (B.replicate (i `mod` 300) 1))
      holds "the blocks are free again" $ (< before + 50) <$> liveBlocks
  , testCase "from C" $ do
      before <- liveBlocks
      p <- mi_malloc 10
      pokeArray p [1 .. 10]
      M.unsafePackMallocByteString p 10 >>= (@?= B.pack [1 .. 10])
      withCString "hello" mi_strdup >>= M.unsafePackMallocCString >>= (@?= "hello")
      withCString "hello" mi_strdup >>= \s -> M.unsafePackMallocCStringLen (s, 4) >>= (@?= "hell")
      M.unsafePackMallocByteString nullPtr 0 >>= (@?= "")
      holds "the blocks are free again" $ (< before + 10) <$> liveBlocks
  , testCase "unsafeUseAsByteString" $ do
      M.unsafeUseAsByteString (B.drop 2 "abcde") (\p n -> peekArray n p) >>= (@?= [99, 100, 101])
      M.unsafeUseAsByteString "" (\_ n -> pure n) >>= (@?= 0)
  , testGroup "reading" reading
  , testGroup "builder"
      [ testProperty "any Builder, as bytestring's own buffers" $ \(pieces :: [Piece]) ->
            forAll ((,) <$> choose (-10, 300) <*> choose (-10, 300)) $ \(a, b) ->
          let builder = foldMap built pieces; wanted = toLazyByteString builder in
            M.toLazyByteString builder === wanted
              .&&. toLazyByteStringWith (M.mallocStrategy a b) "" builder === wanted
      , testProperty "toLazyByteString" $ \(ns :: [Int]) -> M.toLazyByteString (foldMap intDec ns)
          === L.fromStrict (B.concat (map (L.toStrict . M.toLazyByteString . intDec) ns))
      , testProperty "mallocStrategy of any sizes" $ \wss ->
            forAll ((,) <$> choose (-10, 300) <*> choose (-10, 300)) $ \(a, b) ->
          let s = map B.pack wss in toLazyByteStringWith (M.mallocStrategy a b) "end" (foldMap byteString s)
                === L.fromChunks s <> "end"
      , testCase "much" $ do
          let s = L.fromChunks (replicate 300 (B.replicate 10000 3))
          M.toLazyByteString (lazyByteString s <> foldMap intDec [1 .. 100000]) @?= s
            <> L.fromStrict (B.concat (map (L.toStrict . M.toLazyByteString . intDec) [1 .. 100000]))
      , testCase "given up half-way by a thread that does the same" $ do
          before <- liveBlocks
          forM_ [1 .. 100 :: Int] $ \i -> do
            let s = M.toLazyByteString (foldMap intDec [i .. i + 2000])
            dones <- replicateM 4 $ do
              done <- newEmptyMVar
              _ <- forkIO (evaluate (L.length s) >>= putMVar done)
              pure done
            ls <- mapM takeMVar dones
            assertBool "different" (and (zipWith (==) ls (drop 1 ls)))
          holds "the blocks are free again" $ (< before + 50) <$> liveBlocks
      ]
  , testGroup "asynchronous exceptions"
      [ struck "create" (M.create 300 (\p -> pokeByteOff p 299 (1 :: Word8)) >>= used)
      , struck "createAndTrim" (M.createAndTrim 3000 (\p -> 10 <$ pokeArray p [1 .. 10]) >>= used)
      , struck "copy" (anew M.copy large >>= used)
      , struck "pack" (anew M.pack [1 .. 200] >>= used)
      , struck "concat" (anew M.concat [large, "x", large] >>= used)
      , struck "toLazyByteString" (anew (L.toStrict . M.toLazyByteString . foldMap intDec) [1 .. 3000]
          >>= used)
      , struck "readFile" (M.readFile "/proc/self/status" >>= used)
      , struck "unsafePackMallocCString"
          (mask_ (withCString "hello" mi_strdup >>= M.unsafePackMallocCString) >>= used)
      ]
  ]
  where
    large = B.replicate 100000 7
    used s = when (B.length s == 0) $ throwIO Underflow

-- What a Builder is made of.
data Piece = Number Int | Copied [Word8] | Inserted [Word8] | Hidden Int | Flush deriving Show

instance Arbitrary Piece where
  arbitrary = oneof [Number <$> arbitrary, Copied <$> arbitrary
                    , Inserted <$> arbitrary, Hidden <$> choose (0, 5000), pure Flush]

built :: Piece -> Builder
built piece = case piece of
  Number n -> intDec n
  Copied ws -> byteStringCopy (B.pack ws)
  Inserted ws -> byteStringInsert (B.pack ws)
  Hidden n -> byteString (B.replicate n 7)
  Flush -> flush

-- Its block is from our heap.
ours :: String -> B.ByteString -> Assertion
ours name s = M.unsafeUseAsByteString s $ \p _ -> mi_is_in_heap_region p >>= assertBool name . (== 1)

reading :: [TestTree]
reading =
  [ testCase ("readFile, " ++ show n ++ " bytes") $ withContents (text n) $ \path -> do
      M.readFile path >>= \s -> assertBool "different" (s == text n)
      withBinaryFile path ReadMode M.hGetContents >>= \s -> assertBool "different" (s == text n)
      withBinaryFile path ReadMode (`M.hGet` n) >>= \s -> assertBool "different" (s == text n)
      withBinaryFile path ReadMode (`M.hGet` (2 * n + 5)) >>= \s -> assertBool "different" (s == text n)
      withBinaryFile path ReadMode (\h -> M.hGet h 3 >> M.hGet h 4) >>= (@?= B.take 4 (B.drop 3 (text n)))
      withBinaryFile path ReadMode (`M.hGetSome` (n + 1)) >>= \s ->
        assertBool "not the beginning" (s `B.isPrefixOf` text n && (n == 0 || not (B.null s)))
  | n <- [0, 1, 1023, 1024, 1025, 100000, 3000000] ] ++
  [ testProperty "pieces, as bytestring reads them" $
        forAll (choose (0, 20000)) $ \n -> forAll (listOf (choose (0, 9000))) $ \ks ->
      ioProperty $ withContents (text n) $ \path -> do
        let pieces get = withBinaryFile path ReadMode $ \h -> mapM (get h) ks
        ours_ <- pieces M.hGet
        theirs <- pieces B.hGet
        some <- pieces M.hGetSome
        pure (ours_ === theirs .&&. property (B.concat some `B.isPrefixOf` text n)
          .&&. property (and (zipWith (\k s -> B.length s <= k) ks some)))
  , testCase "a pipe" $ do
      (from, to) <- createPipe
      mapM_ (`hSetBinaryMode` True) [from, to]
      hSetBuffering to NoBuffering
      B.hPut to "abc"
      M.hGetSome from 100 >>= (@?= "abc") -- does not wait for more
      _ <- forkIO $ forM_ [1 .. 50 :: Int] (\_ -> B.hPut to (text 1000) >> yield) >> hClose to
      M.hGet from 1500 >>= (@?= B.take 1500 (text 1000 <> text 1000))
      rest <- M.hGetContents from
      assertBool "different" (rest == B.drop 1500 (B.concat (replicate 50 (text 1000))))
  , testCase "a closed handle" $ withContents "abc" $ \path -> do
      before <- liveBlocks
      h <- openBinaryFile path ReadMode
      hClose h
      forM_ [M.hGet h 1000, M.hGetSome h 1000, M.hGetContents h] $ \act -> replicateM_ 100 $
        try act >>= either (\(_ :: IOException) -> pure ()) (const (assertFailure "no exception"))
      holds "the blocks are free again" $ (< before + 10) <$> liveBlocks
  , testCase "a file that lies about its size" $ do
      s <- M.readFile "/proc/self/status"
      assertBool "empty" (B.length s > 100)
  , testCase "hGetContents closes the handle" $ withContents "x" $ \path -> do
      h <- openBinaryFile path ReadMode
      M.hGetContents h >>= (@?= "x")
      hIsClosed h >>= (@?= True)
  , testCase "no such file" $ try (M.readFile "/no/such/file")
      >>= either (\(_ :: IOException) -> pure ()) (const (assertFailure "no exception"))
  , testCase "what is read leaves nothing behind" $ withContents (text 100000) $ \path -> do
      before <- liveBlocks
      replicateM_ 50 (M.readFile path)
      holds "the blocks are free again" $ (< before + 10) <$> liveBlocks
  ]
  where
    text n = B.pack (take n (cycle [0 .. 250]))
    withContents s act = do
      directory <- getTemporaryDirectory
      bracket (openBinaryTempFile directory "mimalloc")
          (\(path, h) -> hClose h >> removeFile path) $ \(path, h) -> do
        B.hPut h s
        hClose h
        act path
