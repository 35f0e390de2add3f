{-# LANGUAGE RankNTypes #-}
{-# LANGUAGE TypeApplications #-}
-- Every function that takes a number or a pointer is given the worst of them. It does what it says, or it
-- throws an IOError with its own name: an invalid argument, or want of memory. Never another exception, never
-- a crash, and nothing is left behind.
module Main (main) where

import Control.Exception
import Control.Monad
import Control.Monad.ST (RealWorld, ST, stToIO)
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder (intDec)
import Data.ByteString.Builder.Extra (byteStringInsert, toLazyByteStringWith)
import qualified Data.ByteString.Lazy as Lazy
import qualified Data.ByteString.Short as Short
import qualified Data.ByteString.Unsafe as Unsafe
import qualified Data.Vector.Storable as Vector
import qualified Data.Vector.Storable.Mutable as Mutable
import Data.Word (Word16, Word8)
import Foreign.C.String (newCString, withCString)
import Foreign.C.Types (CLong, CSize)
import Foreign.Marshal.Alloc (alloca, free)
import qualified Foreign.Marshal.Utils as Marshal (with)
import Foreign.Ptr (castPtr, nullFunPtr, nullPtr)
import GHC.IO.Exception (IOException (..))
import System.Directory (getTemporaryDirectory, removeFile)
import System.Environment (setEnv)
import System.IO (Handle, IOMode (..), hClose, hSetFileSize, openBinaryFile, openBinaryTempFile)
import System.IO.Unsafe (unsafePerformIO)
import Test.Tasty (TestTree, defaultMain, testGroup)
import Test.Tasty.HUnit

import Arguments.Complete (complete)
import Api.Support (Crooked, Line, holds, liveBlocks)
import Mimalloc
import qualified Mimalloc.ByteString as M
import qualified Mimalloc.Capability as M
import Mimalloc.EventLog (startEventLog, stopEventLog)
import Mimalloc.Heap
import Mimalloc.Pressure
import Mimalloc.Profile (ProfileFormat (..), hPutProfile, startProfile, stopProfile)
import Mimalloc.Stats (arenaMap)
import qualified Mimalloc.Store as S
import qualified Mimalloc.Vector as V

main :: IO ()
main = setEnv "TASTY_NUM_THREADS" "1" >> defaultMain (testGroup "arguments" tests)

data Outcome = Fine | Invalid | Exhausted deriving (Eq, Show)

-- What the function may do with this number.
type Expected = Int -> [Outcome]

numbers :: [Int]
numbers = [0, -1, 3, minBound, maxBound, maxBound - 15, maxBound `quot` 2, minBound + 1, 4611686018427387904]

size, atMost, alignmentOf, pureSize, index3, positive :: Expected
-- As many bytes or elements.
size n | n < 0 = [Invalid]
       | n < 1000 = [Fine]
       | otherwise = [Invalid, Exhausted]
-- So many, of which there are fewer.
atMost n = if n < 0 then [Invalid] else [Fine]
-- A power of two.
alignmentOf n | n == 4611686018427387904 = [Exhausted, Invalid]
              | otherwise = [Invalid]
-- As in vector and bytestring: below 0 is 0.
pureSize n = if n < 0 then [Fine] else size n
-- An index, or the length, of three elements.
index3 n = if n >= 0 && n < 3 then [Fine] else [Invalid]
positive n = if n <= 0 then [Invalid] else [Fine]

data Function = Function String Expected (Int -> IO ())

tests :: [TestTree]
tests = testGroup "want of memory"
    [testCase name (limited (outcomeOf name act >>= (@?= Exhausted))) | (name, act) <- wants] :
  [ testGroup part [ testCase name (forM_ numbers (given name expected act))
                   | Function name expected act <- functions ]
  | (part, functions) <- table ]
  ++ [ testGroup "null pointers" (map (uncurry testCase) nulls)
     , complete (map (takeWhile (/= ',')) named) ]
  where
    named = map fst wants ++ map fst nulls ++ [name | (_, functions) <- table, Function name _ _ <- functions]

given :: String -> Expected -> (Int -> IO ()) -> Int -> Assertion
given name expected act n = do
  before <- liveBlocks
  outcome <- outcomeOf name (act n)
  assertBool (name ++ " " ++ show n ++ ": " ++ show outcome) (outcome `elem` expected n)
  holds (name ++ " " ++ show n ++ " leaves nothing behind") $ (<= before + 3) <$> liveBlocks

-- Its name, too. Functions of the same kind may be one.
outcomeOf :: String -> IO () -> IO Outcome
outcomeOf name act = try act >>= either failed (const (pure Fine))
  where
    failed e = do
      assertEqual "the function's name" (takeWhile (/= ',') name) (ioe_location e)
      if isInvalidArgument e then pure Invalid
        else if isResourceExhausted e then pure Exhausted else assertFailure (show e)

table :: [(String, [Function])]
table =
  [ ("Mimalloc",
    [ Function "mallocForeignPtrBytes" size (void . mallocForeignPtrBytes)
    , Function "mallocForeignPtrArray" size (\n -> void (mallocForeignPtrArray n :: IO (ForeignPtr Int)))
    , Function "mallocForeignPtrArray, of lines" size (\n ->
        void (mallocForeignPtrArray n :: IO (ForeignPtr Line)))
    , Function "mallocForeignPtrArray, of what has no alignment" (const [Invalid]) (\n ->
        void (mallocForeignPtrArray n :: IO (ForeignPtr Crooked)))
    , Function "mallocForeignPtrAligned" alignmentOf (\n ->
        void (mallocForeignPtrAligned n :: IO (ForeignPtr Int)))
    , Function "mallocForeignPtrAlignedBytes" size (\n -> void (mallocForeignPtrAlignedBytes n 64))
    , Function "mallocForeignPtrAlignedBytes, alignment" alignmentOf (void . mallocForeignPtrAlignedBytes 10)
    , Function "callocForeignPtrArray" size (\n -> void (callocForeignPtrArray n :: IO (ForeignPtr Int)))
    , Function "zallocForeignPtrBytes" size (void . zallocForeignPtrBytes)
    , Function "withMallocBytes" size (\n -> withMallocBytes n (const (pure ())))
    , Function "withMallocArray" size (\n -> withMallocArray n (\p -> const (pure ()) (p :: Ptr Int)))
    , Function "withMallocAligned" alignmentOf (\n ->
        withMallocAligned n (\p -> const (pure ()) (p :: Ptr Int)))
    , Function "withMallocAlignedBytes" size (\n -> withMallocAlignedBytes n 64 (const (pure ())))
    , Function "withMallocAlignedBytes, alignment" alignmentOf (\n ->
        withMallocAlignedBytes 10 n (const (pure ())))
    , Function "withCallocArray" size (\n -> withCallocArray n (\p -> const (pure ()) (p :: Ptr Int)))
    , Function "withZallocBytes" size (\n -> withZallocBytes n (const (pure ())))
    , Function "goodSize" (const [Fine]) (\n -> assertBool "at least as many" (goodSize n >= max 0 n))
    ])
  , ("Mimalloc.Heap", concat
      [ map (inHeap which) heapFunctions
      | which <- [Kind "withHeap" (\f -> withHeap f), Kind "newHeap" (\f -> newHeap >>= f)] ]
    ++ [ Function "withHeapEx" (\n -> if n == 0 || n == -1 || n == 3 then [Fine] else [Invalid]) (\n ->
           withHeapEx n True 0 (const (pure ())))
       , Function "withHeapInArena" arena (\n -> withHeapInArena (fromIntegral n) (const (pure ())))
       , Function "newHeapInArena" arena (\n -> void (newHeapInArena (fromIntegral n)))
       ])
  , ("Mimalloc.ByteString",
    [ Function "mallocByteString" size (void . M.mallocByteString)
    , Function "zallocByteString" size (void . M.zallocByteString)
    , Function "create" size (\n -> void (M.create n (const (pure ()))))
    , Function "createUptoN" size (\n -> void (M.createUptoN n (const (pure 0))))
    , Function "createUptoN, result" (\n -> if n == 0 || n == 3 then [Fine] else [Invalid])
        (void . M.createUptoN 10 . const . pure)
    , Function "unsafeCreate" size (\n -> void (evaluate (M.unsafeCreate n (const (pure ())))))
    , Function "unsafeCreateUptoN" size (\n -> void (evaluate (M.unsafeCreateUptoN n (const (pure 0)))))
    , Function "unsafeCreateUptoN, result" (\n -> if n == 0 || n == 3 then [Fine] else [Invalid]) (\n ->
        void (evaluate (M.unsafeCreateUptoN 10 (const (pure n)))))
    , Function "createAndTrim" size (\n -> void (M.createAndTrim n (const (pure 0))))
    , Function "createAndTrim, result" (\n -> if n == 0 || n == 3 then [Fine] else [Invalid])
        (void . M.createAndTrim 10 . const . pure)
    , Function "create'" size (\n -> void (M.create' n (const (pure ()))))
    , Function "createUptoN'" size (\n -> void (M.createUptoN' n (const (pure (0, ())))))
    , Function "createAndTrim'" size (\n -> void (M.createAndTrim' n (const (pure (0, 0, ())))))
    , Function "createAndTrim', offset" (\n -> if n == 0 || n == 3 then [Fine] else [Invalid]) (\n ->
        void (M.createAndTrim' 10 (const (pure (n, 1, ())))))
    , Function "createAndTrim', length" (\n -> if n == 0 || n == 3 then [Fine] else [Invalid]) (\n ->
        void (M.createAndTrim' 10 (const (pure (1, n, ())))))
    , Function "replicate" pureSize (void . evaluate . (`M.replicate` 1))
    , Function "unfoldrN" (const [Fine]) (\n ->
        void (evaluate (fst (M.unfoldrN n (const (Nothing :: Maybe (Word8, ()))) ()))))
    , Function "mallocStrategy" pureSize (\n ->
        void (evaluate (Lazy.length (toLazyByteStringWith (M.mallocStrategy n 64) Lazy.empty (intDec 5)))))
    , Function "mallocStrategy, further" pureSize (\n -> void (evaluate
        (Lazy.length (toLazyByteStringWith (M.mallocStrategy 64 n) Lazy.empty (foldMap intDec [1 .. 100])))))
    , Function "hGetNonBlocking" size (\n -> onNull (\h -> void (M.hGetNonBlocking h n)))
    , Function "packCStringLen" (\n -> if n == 0 then [Fine] else [Invalid]) (\n ->
        void (M.packCStringLen (nullPtr, n)))
    , Function "hGet" size (\n -> onNull (\h -> void (M.hGet h n)))
    , Function "hGetSome" size (\n -> onNull (\h -> void (M.hGetSome h n)))
    , Function "hGetLazy" atMost (\n -> onNull (\h -> void (M.hGetLazy h n)))
    , Function "hGetNonBlockingLazy" atMost (\n -> onNull (\h -> void (M.hGetNonBlockingLazy h n)))
    ])
  , ("Mimalloc.Vector",
    [ Function "mallocVector" size (void . V.mallocVector @Int)
    , Function "zallocVector" size (void . V.zallocVector @Int)
    , Function "mallocMVector" size (void . V.mallocMVector @Int)
    , Function "zallocMVector" size (void . V.zallocMVector @Int)
    , Function "generate" pureSize (void . evaluate . (`V.generate` id))
    , Function "replicate" pureSize (void . evaluate . (`V.replicate` (1 :: Word16)))
    , Function "unfoldrN" (const [Fine]) (\n ->
        void (evaluate (V.unfoldrN n (const (Nothing :: Maybe (Int, ()))) ())))
    , Function "fromListN" (const [Fine]) (\n -> void (evaluate (V.fromListN n "abc")))
    , Function "generateM" pureSize (\n -> void (V.generateM n pure))
    , Function "replicateM" pureSize (\n -> void (V.replicateM n (pure 'x')))
    , Function "generateST" pureSize (\n -> void (stToIO (V.generateST n pure)))
    , Function "replicateST" pureSize (\n -> void (stToIO (V.replicateST n (pure 'x'))))
    , Function "mallocSTVector" size (\n ->
        void (stToIO (V.mallocSTVector n :: ST RealWorld (V.STVector RealWorld Int))))
    , Function "zallocSTVector" size (\n ->
        void (stToIO (V.zallocSTVector n :: ST RealWorld (V.STVector RealWorld Int))))
    , Function "modifyGrowable" index3 (\n -> three >>= \g -> V.modifyGrowable g n id)
    , Function "newGrowable" size (void . V.newGrowable @Int)
    , Function "reserve" size (\n -> V.newGrowable 0 >>= \g -> V.reserve (g :: V.Growable Int) n)
    , Function "readGrowable" index3 (\n -> three >>= \g -> void (V.readGrowable g n))
    , Function "writeGrowable" index3 (\n -> three >>= \g -> V.writeGrowable g n 'x')
    , Function "truncateGrowable" (\n -> if n == 3 then [Fine] else index3 n) (\n ->
        three >>= (`V.truncateGrowable` n))
    ])
  , ("Mimalloc.Capability",
    [ Function "runOnCapability" (\n -> if n == 0 then [Fine] else [Invalid]) (\n ->
        M.runOnCapability n (pure ()))
    , Function "startDraining" positive (\n -> M.startDraining n >> M.stopDraining)
    , Function "startProfile" positive (\n -> startProfile n >> stopProfile)
    , Function "startEventLog" positive (\n -> startEventLog n >> stopEventLog)
    ])
  , ("Mimalloc.Pressure"
    , [Function "setPressure" positive (\n -> setPressure (PressureBytes n) >> setPressure PressureAdaptive)])
  , ("Mimalloc.Store",
    [ Function "getString" (const [Invalid]) (\n -> oneString >>= \s -> void (S.getString s (named n)))
    , Function "replaceString" (const [Invalid]) (\n ->
        oneString >>= \s -> S.replaceString s (named n) (ByteString.pack [1]))
    , Function "deleteString" (const [Invalid]) (\n -> oneString >>= \s -> S.deleteString s (named n))
    ])
  , ("Mimalloc.Primitive",
    [ Function "C" (const [Fine]) primitives
    , Function "C, a heap" (const [Fine]) (bracket mi_heap_new mi_heap_destroy . heapPrimitives)
    , Function "C, a block that is there" (const [Fine]) resized
    , Function "C, the process" (const [Fine]) processPrimitives
    , Function "C, options" (const [Fine]) options
    ])
  ]
  where
    arena n = if n == 0 then [Fine] else [Invalid, Fine, Exhausted]
    onNull :: (Handle -> IO ()) -> IO ()
    -- base's withBinaryFile may rename exceptions
    onNull = bracket (openBinaryFile "/dev/null" ReadMode) hClose
    oneString = S.newStore >>= \s -> s <$ S.putString s (ByteString.pack [1])
    -- The one string's handle is another: its slot is 0, its generation 1.
    named n = unsafePerformIO (Marshal.with n (peek . castPtr)) :: S.StringHandle
    three = do
      g <- V.newGrowable 0
      g <$ mapM_ (V.push g) "abc"

-- Functions of a heap of any kind.
data HeapFunction = HeapFunction String Expected (forall s. Heap s -> Int -> IO ())

data Kind = Kind String ((forall s. Heap s -> IO ()) -> IO ())

inHeap :: Kind -> HeapFunction -> Function
inHeap (Kind which with) (HeapFunction name expected act) =
  Function (name ++ ", " ++ which) expected (\n -> with (\h -> act h n))

heapFunctions :: [HeapFunction]
heapFunctions =
  [ HeapFunction "heapMallocForeignPtrBytes" size (\h -> void . heapMallocForeignPtrBytes h)
  , HeapFunction "heapMallocForeignPtrArray" size (\h n ->
      void (heapMallocForeignPtrArray h n :: IO (ForeignPtr Int)))
  , HeapFunction "heapMallocForeignPtrAligned" alignmentOf (\h n ->
      void (heapMallocForeignPtrAligned h n :: IO (ForeignPtr Int)))
  , HeapFunction "heapMallocForeignPtrAlignedBytes" size (\h n ->
      void (heapMallocForeignPtrAlignedBytes h n 64))
  , HeapFunction "heapMallocForeignPtrAlignedBytes, alignment" alignmentOf (\h ->
      void . heapMallocForeignPtrAlignedBytes h 10)
  , HeapFunction "heapCallocForeignPtrArray" size (\h n ->
      void (heapCallocForeignPtrArray h n :: IO (ForeignPtr Int)))
  , HeapFunction "heapZallocForeignPtrBytes" size (\h -> void . heapZallocForeignPtrBytes h)
  , HeapFunction "withHeapMallocBytes" size (\h n -> withHeapMallocBytes h n (const (pure ())))
  , HeapFunction "withHeapMallocArray" size (\h n ->
      withHeapMallocArray h n (\p -> const (pure ()) (p :: Ptr Int)))
  , HeapFunction "withHeapMallocAligned" alignmentOf (\h n ->
      withHeapMallocAligned h n (\p -> const (pure ()) (p :: Ptr Int)))
  , HeapFunction "withHeapMallocAlignedBytes" size (\h n ->
      withHeapMallocAlignedBytes h n 64 (const (pure ())))
  , HeapFunction "withHeapMallocAlignedBytes, alignment" alignmentOf (\h n ->
      withHeapMallocAlignedBytes h 10 n (const (pure ())))
  , HeapFunction "withHeapCallocArray" size (\h n ->
      withHeapCallocArray h n (\p -> const (pure ()) (p :: Ptr Int)))
  , HeapFunction "withHeapZallocBytes" size (\h n -> withHeapZallocBytes h n (const (pure ())))
  , HeapFunction "heapMallocByteString" size (\h -> void . M.heapMallocByteString h)
  , HeapFunction "heapZallocByteString" size (\h -> void . M.heapZallocByteString h)
  , HeapFunction "heapCreate" size (\h n -> void (M.heapCreate h n (const (pure ()))))
  , HeapFunction "heapMallocVector" size (\h -> void . V.heapMallocVector @Int h)
  , HeapFunction "heapZallocVector" size (\h -> void . V.heapZallocVector @Int h)
  , HeapFunction "heapMallocMVector" size (\h -> void . V.heapMallocMVector @Int h)
  , HeapFunction "heapZallocMVector" size (\h -> void . V.heapZallocMVector @Int h)
  ]

-- The C functions return null.
primitives :: Int -> IO ()
primitives n = do
  forM_ [mi_malloc, mi_zalloc, mi_calloc 1, mi_calloc c, mi_mallocn c, mi_malloc_small
        , mi_zalloc_small, mi_realloc nullPtr, mi_reallocn nullPtr c, mi_reallocarray nullPtr c
        , mi_reallocf nullPtr, mi_rezalloc nullPtr, mi_recalloc nullPtr c
        , mi_valloc, mi_pvalloc, mi_expand nullPtr] $ \f -> f c >>= freed
  forM_ [mi_malloc_aligned, mi_zalloc_aligned, mi_calloc_aligned c, mi_memalign
        , mi_aligned_alloc, mi_realloc_aligned nullPtr, mi_rezalloc_aligned nullPtr
        , mi_recalloc_aligned nullPtr c] $ \f -> f c 16 >>= freed >> f 16 c >>= freed >> f c c >>= freed
  forM_ [mi_malloc_aligned_at, mi_zalloc_aligned_at, mi_calloc_aligned_at c, mi_realloc_aligned_at nullPtr
        , mi_rezalloc_aligned_at nullPtr, mi_recalloc_aligned_at nullPtr c] $ \f ->
    f c 16 8 >>= freed >> f 16 c 8 >>= freed >> f 16 16 c >>= freed >> f c c c >>= freed
  _ <- evaluate (mi_good_size c)
  mi_free_size nullPtr c
  alloca $ \pp -> forM_ [(c, 16), (16, c), (c, c)] $ \(align, bytes) -> do
    poke pp nullPtr
    e <- mi_posix_memalign pp align bytes
    p <- peek pp
    (e == 0) || p == nullPtr @? "an error and a block"
    freed p
  mi_free_aligned (nullPtr :: Ptr ()) c >> mi_free_size_aligned (nullPtr :: Ptr ()) c c
  bracket (newCString "abc") mi_free_not_ours $ \s -> mi_strndup s (if n < 0 then 0 else c) >>= mi_free
  where
    c = fromIntegral n :: CSize
    mi_free_not_ours = free

heapPrimitives :: Int -> Ptr MiHeap -> IO ()
heapPrimitives n heap = do
  forM_ [mi_heap_malloc heap, mi_heap_zalloc heap, mi_heap_calloc heap 1
        , mi_heap_calloc heap c, mi_heap_mallocn heap c, mi_heap_malloc_small heap
        , mi_heap_realloc heap nullPtr, mi_heap_reallocn heap nullPtr c
        , mi_heap_reallocf heap nullPtr, mi_heap_rezalloc heap nullPtr
        , mi_heap_recalloc heap nullPtr c] $ \f -> f c >>= freed
  forM_ [mi_heap_malloc_aligned heap, mi_heap_zalloc_aligned heap
        , mi_heap_calloc_aligned heap c, mi_heap_realloc_aligned heap nullPtr
        , mi_heap_rezalloc_aligned heap nullPtr, mi_heap_recalloc_aligned heap nullPtr c] $ \f ->
            f c 16 >>= freed >> f 16 c >>= freed >> f c c >>= freed
  forM_ [mi_heap_malloc_aligned_at heap, mi_heap_zalloc_aligned_at heap
        , mi_heap_calloc_aligned_at heap c, mi_heap_realloc_aligned_at heap nullPtr
        , mi_heap_rezalloc_aligned_at heap nullPtr, mi_heap_recalloc_aligned_at heap nullPtr c] $ \f ->
    f c 16 8 >>= freed >> f 16 c 8 >>= freed >> f 16 16 c >>= freed >> f c c c >>= freed
  where c = fromIntegral n :: CSize

-- It stays as it was if it cannot be what it was asked to be.
resized :: Int -> IO ()
resized n = forM_ changes $ \(name, change) -> do
  p <- mi_zalloc 100 :: IO (Ptr Word8)
  poke p 7
  q <- change p
  if q == nullPtr then (peek p >>= (@?= 7)) >> freed p else do
    room <- mi_usable_size q
    when (room > 0 && n /= 0) $ peek q >>= assertEqual name 7
    freed q
  where
    c = fromIntegral n :: CSize
    changes =
      [ ("mi_realloc", (`mi_realloc` c)), ("mi_reallocn", \p -> mi_reallocn p c c)
      , ("mi_reallocarray", \p -> mi_reallocarray p c 3)
      , ("mi_rezalloc", (`mi_rezalloc` c))
      , ("mi_recalloc", \p -> mi_recalloc p c 2), ("mi_expand", (`mi_expand` c))
      , ("mi_realloc_aligned", \p -> mi_realloc_aligned p 200 c)
      , ("mi_realloc_aligned, size", \p -> mi_realloc_aligned p c 64)
      , ("mi_realloc_aligned_at", \p -> mi_realloc_aligned_at p 200 64 c)
      , ("mi_rezalloc_aligned", \p -> mi_rezalloc_aligned p 200 c)
      , ("mi_rezalloc_aligned_at", \p -> mi_rezalloc_aligned_at p c c c)
      , ("mi_recalloc_aligned", \p -> mi_recalloc_aligned p c 2 c)
      , ("mi_recalloc_aligned_at", \p -> mi_recalloc_aligned_at p 2 c 16 c) ]

-- Errors are numbers, and nothing is reserved.
processPrimitives :: Int -> IO ()
processPrimitives n = do
  -- 0 is any arena; some of the numbers may be an arena's.
  forM_ [mi_heap_new_in_arena i, mi_heap_new_ex i 1 i] $ \new -> do
    h <- new
    assertBool "a heap" (if i == 0 then h /= nullPtr else i > 0 || h == nullPtr)
    when (h /= nullPtr) $ mi_heap_destroy h
  alloca $ \size_ -> do
    poke size_ 1
    p <- mi_arena_area i size_
    peek size_ >>= \k -> (p == nullPtr) == (k == 0) @? "an arena's size"
    when (i <= 0) $ p @?= nullPtr
  mi_arena_area i nullPtr >>= \p -> when (i <= 0) $ p @?= nullPtr
  unless (n == 0 || n == 3) $ forM_ [mi_reserve_os_memory c 0 0, mi_reserve_os_memory_ex c 1 1 1 nullPtr] $
    \act -> act >>= assertBool "reserved" . (/= 0)
  forM_ [mi_manage_os_memory nullPtr c 1 0 0 (-1)
        , mi_manage_os_memory_ex nullPtr c 1 0 0 i 1 nullPtr] (>>= (@?= 0))
  unless (n == 0) $ forM_ [mi_reserve_huge_os_pages_interleave c c 0, mi_reserve_huge_os_pages_at c i 0
                          , mi_reserve_huge_os_pages_at_ex c i c 1 nullPtr] $ \act ->
    act >>= assertBool "reserved" . (/= 0)
  where
    c = fromIntegral n :: CSize
    i = fromIntegral n :: MiArenaId

-- Of an option without effect.
options :: Int -> IO ()
options n = do
  mi_option_set o l
  mi_option_get o >>= (@?= l)
  mi_option_is_enabled o >>= (@?= (n /= 0))
  _ <- mi_option_get_size o
  mi_option_get_clamp o 5 l >>= \r -> r == 5 || r == l @? "no bound"
  mi_option_set_default o 1
  mi_option_set o 0
  where
    o = MiOptionOsTag
    l = fromIntegral n :: CLong

freed :: Ptr Word8 -> IO ()
freed = mi_free

-- There is no memory for what they make of so much. It is in GHC's heap, or comes bit by bit.
limited :: IO a -> IO a
limited = bracket_ (M.drainAll >> mi_option_set MiOptionCommitLimit 8192)
  (mi_option_set MiOptionCommitLimit 0)

wants :: [(String, IO ())]
wants =
  [ ("append", pureBytes (M.append much much)), ("concat", pureBytes (M.concat [much, much]))
  , ("intercalate", pureBytes (M.intercalate much [much, much]))
  , ("unsafeCreate", pureBytes (M.unsafeCreate size_ (const (pure ()))))
  , ("unsafeCreateUptoN", pureBytes (M.unsafeCreateUptoN size_ (const (pure 1))))
  , ("copyLazy", void (evaluate (Lazy.length (M.copyLazy (Lazy.fromStrict much)))))
  , ("copy", pureBytes (M.copy much)), ("map", pureBytes (M.map (+ 1) much))
  , ("replicate", pureBytes (M.replicate size_ 1))
  , ("unfoldrN", pureBytes (fst (M.unfoldrN maxBound (\i -> Just (fromIntegral i, i + 1)) (0 :: Int))))
  , ("fromShort", pureBytes (M.fromShort (Short.toShort much)))
  , ("fromLazy", pureBytes (M.fromLazy (Lazy.fromChunks [much, much])))
  , ("toLazy", void (evaluate (M.toLazy much)))
  , ("packCStringLen", Unsafe.unsafeUseAsCStringLen much (void . M.packCStringLen))
  , ("packCString", ByteString.useAsCString much (void . M.packCString))
  , ("toStrictByteString", pureBytes (M.toStrictByteString (foldMap intDec [1 .. 4000000])))
  , ("toStrictByteString", pureBytes (M.toStrictByteString (byteStringInsert much)))
  , ("appendGrowable", V.newGrowable 0 >>= (`M.appendGrowable` much))
  , ("readFile", fileOf M.readFile)
  , ("hGetContents", fileOf (\f -> openBinaryFile f ReadMode >>= M.hGetContents))
  , ("hGetLine", fileOf (\f -> bracket (openBinaryFile f ReadMode) hClose M.hGetLine))
  , ("hGet", fileOf (\f -> bracket (openBinaryFile f ReadMode) hClose (`M.hGet` size_)))
  , ("hGetLazy", fileOf (\f -> bracket (openBinaryFile f ReadMode) hClose (`M.hGetLazy` size_)))
  , ("hGetNonBlockingLazy", fileOf (\f ->
      bracket (openBinaryFile f ReadMode) hClose (`M.hGetNonBlockingLazy` size_)))
  , ("heapReadFile", fileOf (\f -> newHeap >>= (`M.heapReadFile` f)))
  , ("heapReadFile", newHeap >>= \h -> void (M.heapReadFile h "/dev/zero"))
  , ("readFile", holeOf M.readFile), ("heapReadFile", holeOf (\f -> newHeap >>= (`M.heapReadFile` f)))
  , ("heapCopy", newHeap >>= \h -> void (M.heapCopy h much))
  , ("heapConcat", newHeap >>= \h -> void (M.heapConcat h [much, much]))
  , ("generate", pureVector (V.generate size_ fromIntegral))
  , ("replicate", pureVector (V.replicate size_ 1)), ("concat", pureVector (V.concat [many_, many_]))
  , ("unfoldrN", pureVector (V.unfoldrN size_ (\i -> Just (i, i + 1)) 0))
  , ("fromList", pureVector (V.fromList [1 ..])), ("fromListN", pureVector (V.fromListN size_ [1 ..]))
  , ("map", pureVector (V.map (+ 1) many_))
  , ("copy", pureVector (V.copy many_)), ("generateM", void (V.generateM size_ pure))
  , ("replicateM", void (V.replicateM size_ (pure 'x')))
  , ("generateST", void (stToIO (V.generateST size_ pure)))
  , ("replicateST", void (stToIO (V.replicateST size_ (pure 'x')))), ("thaw", void (V.thaw many_))
  , ("thawST", void (stToIO (V.thawST many_))), ("freeze", Vector.thaw many_ >>= void . V.freeze)
  , ("freezeST", Vector.thaw many_ >>= void . stToIO . V.freezeST)
  , ("heapCopyVector", newHeap >>= \h -> void (V.heapCopyVector h many_))
  , ("push", V.newGrowable 0 >>= \g -> forever (V.push g 'x'))
  , ("extend", V.newGrowable 0 >>= (`V.extend` many_))
  , ("freezeGrowable", V.newGrowable 0 >>= \g -> V.extend g (Vector.take 700000 many_)
       >> V.freezeGrowable g >>= evaluate >> void (V.freezeGrowable g))
  , ("putString", S.newStore >>= \s -> void (S.putString s much))
  , ("replaceString", S.newStore >>= \s -> S.putString s ByteString.empty >>= \h -> S.replaceString s h much)
  ]
  where
    size_ = 20000000
    much = ByteString.replicate size_ 1
    many_ = Vector.replicate (size_ `quot` 8) 1 :: Vector.Vector Int
    pureBytes = void . evaluate . ByteString.length
    pureVector = void . evaluate . (Vector.length :: Vector.Vector Int -> Int)
    fileOf = fileFilled (`ByteString.hPut` much)
    holeOf = fileFilled (`hSetFileSize` 1099511627776)
    fileFilled fill act = do
      directory <- getTemporaryDirectory
      bracket (openBinaryTempFile directory "mimalloc") (removeFile . fst) $ \(path, h) ->
        fill h >> hClose h >> void (act path)

nulls :: [(String, Assertion)]
nulls =
  [ ("unsafePackMallocByteString", do
      outcomeOf "unsafePackMallocByteString" (void (M.unsafePackMallocByteString nullPtr 5)) >>= (@?= Invalid)
      M.unsafePackMallocByteString nullPtr 0 >>= (@?= ByteString.empty))
  , ("unsafePackMallocByteString, negative", forM_ [-1, minBound] $ \n -> outcomeOf
       "unsafePackMallocByteString" (void (M.unsafePackMallocByteString nullPtr n)) >>= (@?= Invalid))
  , ("unsafePackMallocCString", outcomeOf "unsafePackMallocCString" (void (M.unsafePackMallocCString nullPtr))
       >>= (@?= Invalid))
  , ("unsafePackMallocCStringLen", outcomeOf "unsafePackMallocCStringLen"
       (void (M.unsafePackMallocCStringLen (nullPtr, 3))) >>= (@?= Invalid))
  , ("packCString", outcomeOf "packCString" (void (M.packCString nullPtr)) >>= (@?= Invalid))
  , ("usableSize", usableSize nullPtr >>= (@?= 0))
  , ("heapContainsBlock", withHeap (`heapContainsBlock` nullPtr) >>= (@?= False))
  , ("heapCheckOwned", withHeap (`heapCheckOwned` nullPtr) >>= (@?= False))
  , ("empty vectors", do
      v <- V.mallocMVector 0 :: IO (V.IOVector Int)
      Mutable.length v @?= 0
      w <- V.freeze v
      w @?= Vector.empty)
  , ("a heap", do
      block <- mi_zalloc 100 :: IO (Ptr Word8)              -- the capability has a heap now
      let none = nullPtr :: Ptr MiHeap
      forM_ [mi_heap_malloc none, mi_heap_zalloc none, mi_heap_malloc_small none
            , mi_heap_calloc none 3, mi_heap_mallocn none 3, mi_heap_malloc_aligned none 64
            , (\n -> mi_heap_zalloc_aligned_at none n 64 8), mi_heap_realloc none block
            , mi_heap_rezalloc none block, mi_heap_recalloc none block 1000] $ \f ->
        forM_ [101, 5000000] $ \n -> f n >>= (@?= nullPtr)
      Marshal.with 0 $ \s -> forM_
        [mi_heap_strdup none s, mi_heap_strndup none s 1, mi_heap_realpath none s nullPtr] (>>= (@?= nullPtr))
      withCString "none" (mi_heap_set_name none)
      mi_heap_collect none 1 >> mi_heap_delete none >> mi_heap_destroy none
      main_ <- mi_heap_get_default
      mi_heap_set_default none >>= (@?= main_)
      mi_heap_get_default >>= (@?= main_)
      mi_heap_contains_block none block >>= (@?= 0)
      mi_heap_check_owned none block >>= (@?= 0)
      mi_heap_visit_blocks main_ 1 nullFunPtr nullPtr >>= (@?= 0)
      freed block)
  , ("a place for the result", do
      mi_posix_memalign nullPtr 16 16 >>= assertBool "no error" . (/= 0)
      mi_process_info nullPtr nullPtr nullPtr nullPtr nullPtr nullPtr nullPtr nullPtr
      mi_subproc_delete nullPtr >> mi_subproc_add_current_thread nullPtr)
  , ("mi_free and its like", mapM_ ($ nullPtr) [mi_free, mi_cfree])
  , ("mi_strdup", mi_strdup nullPtr >>= (@?= nullPtr) . castPtr @_ @())
  , ("mi_strndup", mi_strndup nullPtr 3 >>= (@?= nullPtr) . castPtr @_ @())
  , ("mi_realpath", mi_realpath nullPtr nullPtr >>= (@?= nullPtr) . castPtr @_ @())
  , ("mi_usable_size", mi_usable_size nullPtr >>= (@?= 0))
  , ("mi_malloc_size", mi_malloc_size nullPtr >>= (@?= 0))
  , ("mi_malloc_usable_size", mi_malloc_usable_size nullPtr >>= (@?= 0))
  , ("mi_heap_of", mi_heap_of nullPtr >>= (@?= nullPtr))
  , ("mi_check_owned", mi_check_owned nullPtr >>= (@?= 0))
  , ("visitHeapBlocks", visitHeapBlocks nullPtr True (\_ _ _ _ -> pure True) >>= (@?= False))
  , ("hPutProfile", do
      (f, h) <- getTemporaryDirectory >>= (`openBinaryTempFile` "closed")
      hClose h >> removeFile f
      r <- try (hPutProfile h Pprof)
      either (\e -> const (pure ()) (e :: IOException)) (const (assertFailure "written")) r)
  , ("arenaMap", mapM_ (arenaMap >=> (@?= [])) [0, -1, maxBound])
  , ("mi_is_in_heap_region", mi_is_in_heap_region nullPtr >>= (@?= 0))
  ]
