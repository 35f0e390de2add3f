{-# LANGUAGE RankNTypes #-}
{-# LANGUAGE TypeApplications #-}
-- Every function that takes a number or a pointer is given the worst of them. It does what it says, or it throws an IOError with its own
-- name: an invalid argument, or want of memory. Never another exception, never a crash, and nothing is left behind.
module Main (main) where

import Control.Exception
import Control.Monad
import qualified Data.ByteString as ByteString
import qualified Data.Vector.Storable as Vector
import qualified Data.Vector.Storable.Mutable as Mutable
import Data.Word (Word16, Word8)
import Foreign.C.Types (CSize)
import Foreign.Ptr (castPtr, nullPtr)
import GHC.IO.Exception (IOException (..))
import System.Environment (setEnv)
import System.IO (Handle, IOMode (..), hClose, openBinaryFile)
import Test.Tasty (TestTree, defaultMain, testGroup)
import Test.Tasty.HUnit

import Api.Support (Crooked, Line, holds, liveBlocks)
import Mimalloc
import qualified Mimalloc.ByteString as M
import qualified Mimalloc.Capability as M
import Mimalloc.Heap
import Mimalloc.Pressure
import qualified Mimalloc.Vector as V

main :: IO ()
main = setEnv "TASTY_NUM_THREADS" "1" >> defaultMain (testGroup "arguments" tests)

data Outcome = Fine | Invalid | Exhausted deriving (Eq, Show)

-- What the function may do with this number.
type Expected = Int -> [Outcome]

numbers :: [Int]
numbers = [0, -1, 3, minBound, maxBound, maxBound - 15, maxBound `quot` 2, minBound + 1, 4611686018427387904]

size, alignmentOf, pureSize, index3, positive :: Expected
-- As many bytes or elements.
size n | n < 0 = [Invalid]
       | n < 1000 = [Fine]
       | otherwise = [Invalid, Exhausted]
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
tests = [ testGroup part [testCase name (forM_ numbers (given name expected act)) | Function name expected act <- functions] | (part, functions) <- table ]
  ++ [testGroup "null pointers" (map (uncurry testCase) nulls)]

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
      if isInvalidArgument e then pure Invalid else if isResourceExhausted e then pure Exhausted else assertFailure (show e)

table :: [(String, [Function])]
table =
  [ ("Mimalloc",
    [ Function "mallocForeignPtrBytes" size (void . mallocForeignPtrBytes)
    , Function "mallocForeignPtrArray" size (\n -> void (mallocForeignPtrArray n :: IO (ForeignPtr Int)))
    , Function "mallocForeignPtrArray, of lines" size (\n -> void (mallocForeignPtrArray n :: IO (ForeignPtr Line)))
    , Function "mallocForeignPtrArray, of what has no alignment" (const [Invalid]) (\n -> void (mallocForeignPtrArray n :: IO (ForeignPtr Crooked)))
    , Function "mallocForeignPtrAligned" alignmentOf (\n -> void (mallocForeignPtrAligned n :: IO (ForeignPtr Int)))
    , Function "mallocForeignPtrAlignedBytes" size (\n -> void (mallocForeignPtrAlignedBytes n 64))
    , Function "mallocForeignPtrAlignedBytes, alignment" alignmentOf (void . mallocForeignPtrAlignedBytes 10)
    , Function "callocForeignPtrArray" size (\n -> void (callocForeignPtrArray n :: IO (ForeignPtr Int)))
    , Function "zallocForeignPtrBytes" size (void . zallocForeignPtrBytes)
    , Function "withMallocBytes" size (\n -> withMallocBytes n (const (pure ())))
    , Function "withMallocArray" size (\n -> withMallocArray n (\p -> const (pure ()) (p :: Ptr Int)))
    , Function "withMallocAligned" alignmentOf (\n -> withMallocAligned n (\p -> const (pure ()) (p :: Ptr Int)))
    , Function "withMallocAlignedBytes" size (\n -> withMallocAlignedBytes n 64 (const (pure ())))
    , Function "withMallocAlignedBytes, alignment" alignmentOf (\n -> withMallocAlignedBytes 10 n (const (pure ())))
    , Function "withCallocArray" size (\n -> withCallocArray n (\p -> const (pure ()) (p :: Ptr Int)))
    , Function "withZallocBytes" size (\n -> withZallocBytes n (const (pure ())))
    , Function "goodSize" (const [Fine]) (\n -> assertBool "at least as many" (goodSize n >= max 0 n))
    ])
  , ("Mimalloc.Heap", concat [ map (inHeap which) heapFunctions | which <- [Kind "withHeap" (\f -> withHeap f), Kind "newHeap" (\f -> newHeap >>= f)] ]
    ++ [ Function "withHeapEx" (\n -> if n == 0 || n == -1 || n == 3 then [Fine] else [Invalid]) (\n -> withHeapEx n True 0 (const (pure ())))
       , Function "withHeapInArena" arena (\n -> withHeapInArena (fromIntegral n) (const (pure ())))
       , Function "newHeapInArena" arena (\n -> void (newHeapInArena (fromIntegral n)))
       ])
  , ("Mimalloc.ByteString",
    [ Function "mallocByteString" size (void . M.mallocByteString)
    , Function "zallocByteString" size (void . M.zallocByteString)
    , Function "create" size (\n -> void (M.create n (const (pure ()))))
    , Function "createUptoN" size (\n -> void (M.createUptoN n (const (pure 0))))
    , Function "createUptoN, result" (\n -> if n == 0 || n == 3 then [Fine] else [Invalid]) (void . M.createUptoN 10 . const . pure)
    , Function "createAndTrim" size (\n -> void (M.createAndTrim n (const (pure 0))))
    , Function "createAndTrim, result" (\n -> if n == 0 || n == 3 then [Fine] else [Invalid]) (void . M.createAndTrim 10 . const . pure)
    , Function "create'" size (\n -> void (M.create' n (const (pure ()))))
    , Function "createUptoN'" size (\n -> void (M.createUptoN' n (const (pure (0, ())))))
    , Function "createAndTrim'" size (\n -> void (M.createAndTrim' n (const (pure (0, 0, ())))))
    , Function "createAndTrim', offset" (\n -> if n == 0 || n == 3 then [Fine] else [Invalid]) (\n -> void (M.createAndTrim' 10 (const (pure (n, 1, ())))))
    , Function "replicate" pureSize (void . evaluate . (`M.replicate` 1))
    , Function "hGetNonBlocking" size (\n -> onNull (\h -> void (M.hGetNonBlocking h n)))
    , Function "packCStringLen" (\n -> if n == 0 then [Fine] else [Invalid]) (\n -> void (M.packCStringLen (nullPtr, n)))
    , Function "hGet" size (\n -> onNull (\h -> void (M.hGet h n)))
    , Function "hGetSome" size (\n -> onNull (\h -> void (M.hGetSome h n)))
    ])
  , ("Mimalloc.Vector",
    [ Function "mallocVector" size (void . V.mallocVector @Int)
    , Function "zallocVector" size (void . V.zallocVector @Int)
    , Function "mallocMVector" size (void . V.mallocMVector @Int)
    , Function "zallocMVector" size (void . V.zallocMVector @Int)
    , Function "generate" pureSize (void . evaluate . (`V.generate` id))
    , Function "replicate" pureSize (void . evaluate . (`V.replicate` (1 :: Word16)))
    , Function "unfoldrN" (const [Fine]) (\n -> void (evaluate (V.unfoldrN n (const (Nothing :: Maybe (Int, ()))) ())))
    , Function "fromListN" (const [Fine]) (\n -> void (evaluate (V.fromListN n "abc")))
    , Function "modifyGrowable" index3 (\n -> three >>= \g -> V.modifyGrowable g n id)
    , Function "newGrowable" size (void . V.newGrowable @Int)
    , Function "reserve" size (\n -> V.newGrowable 0 >>= \g -> V.reserve (g :: V.Growable Int) n)
    , Function "readGrowable" index3 (\n -> three >>= \g -> void (V.readGrowable g n))
    , Function "writeGrowable" index3 (\n -> three >>= \g -> V.writeGrowable g n 'x')
    , Function "truncateGrowable" (\n -> if n == 3 then [Fine] else index3 n) (\n -> three >>= (`V.truncateGrowable` n))
    ])
  , ("Mimalloc.Capability",
    [ Function "runOnCapability" (\n -> if n == 0 then [Fine] else [Invalid]) (\n -> M.runOnCapability n (pure ()))
    , Function "startDraining" positive (\n -> M.startDraining n >> M.stopDraining)
    ])
  , ("Mimalloc.Pressure", [Function "setPressure" positive (\n -> setPressure (PressureBytes n) >> setPressure PressureAdaptive)])
  , ("Mimalloc.Primitive", [Function "C" (const [Fine]) primitives])
  ]
  where
    arena n = if n == 0 then [Fine] else [Invalid, Fine, Exhausted]
    onNull :: (Handle -> IO ()) -> IO ()
    onNull = bracket (openBinaryFile "/dev/null" ReadMode) hClose              -- base's withBinaryFile may rename exceptions
    three = do
      g <- V.newGrowable 0
      g <$ mapM_ (V.push g) "abc"

-- Functions of a heap of any kind.
data HeapFunction = HeapFunction String Expected (forall s. Heap s -> Int -> IO ())

data Kind = Kind String ((forall s. Heap s -> IO ()) -> IO ())

inHeap :: Kind -> HeapFunction -> Function
inHeap (Kind which with) (HeapFunction name expected act) = Function (name ++ ", " ++ which) expected (\n -> with (\h -> act h n))

heapFunctions :: [HeapFunction]
heapFunctions =
  [ HeapFunction "heapMallocForeignPtrBytes" size (\h -> void . heapMallocForeignPtrBytes h)
  , HeapFunction "heapMallocForeignPtrArray" size (\h n -> void (heapMallocForeignPtrArray h n :: IO (ForeignPtr Int)))
  , HeapFunction "heapMallocForeignPtrAligned" alignmentOf (\h n -> void (heapMallocForeignPtrAligned h n :: IO (ForeignPtr Int)))
  , HeapFunction "heapMallocForeignPtrAlignedBytes" size (\h n -> void (heapMallocForeignPtrAlignedBytes h n 64))
  , HeapFunction "heapMallocForeignPtrAlignedBytes, alignment" alignmentOf (\h -> void . heapMallocForeignPtrAlignedBytes h 10)
  , HeapFunction "heapCallocForeignPtrArray" size (\h n -> void (heapCallocForeignPtrArray h n :: IO (ForeignPtr Int)))
  , HeapFunction "heapZallocForeignPtrBytes" size (\h -> void . heapZallocForeignPtrBytes h)
  , HeapFunction "withHeapMallocBytes" size (\h n -> withHeapMallocBytes h n (const (pure ())))
  , HeapFunction "withHeapMallocArray" size (\h n -> withHeapMallocArray h n (\p -> const (pure ()) (p :: Ptr Int)))
  , HeapFunction "withHeapMallocAligned" alignmentOf (\h n -> withHeapMallocAligned h n (\p -> const (pure ()) (p :: Ptr Int)))
  , HeapFunction "withHeapMallocAlignedBytes" size (\h n -> withHeapMallocAlignedBytes h n 64 (const (pure ())))
  , HeapFunction "withHeapMallocAlignedBytes, alignment" alignmentOf (\h n -> withHeapMallocAlignedBytes h 10 n (const (pure ())))
  , HeapFunction "withHeapCallocArray" size (\h n -> withHeapCallocArray h n (\p -> const (pure ()) (p :: Ptr Int)))
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
  forM_ [mi_malloc, mi_zalloc, mi_calloc 1, mi_calloc c, mi_mallocn c, mi_malloc_small, mi_zalloc_small, mi_realloc nullPtr, mi_reallocn nullPtr c, mi_reallocarray nullPtr c
        , mi_reallocf nullPtr, mi_rezalloc nullPtr, mi_recalloc nullPtr c, mi_valloc, mi_pvalloc, mi_expand nullPtr] $ \f -> f c >>= freed
  forM_ [mi_malloc_aligned, mi_zalloc_aligned, mi_calloc_aligned c, mi_memalign, mi_aligned_alloc, mi_realloc_aligned nullPtr, mi_rezalloc_aligned nullPtr
        , mi_recalloc_aligned nullPtr c] $ \f -> f c 16 >>= freed >> f 16 c >>= freed >> f c c >>= freed
  forM_ [mi_malloc_aligned_at, mi_zalloc_aligned_at, mi_calloc_aligned_at c, mi_realloc_aligned_at nullPtr, mi_rezalloc_aligned_at nullPtr, mi_recalloc_aligned_at nullPtr c] $ \f ->
    f c 16 8 >>= freed >> f 16 c 8 >>= freed >> f 16 16 c >>= freed >> f c c c >>= freed
  _ <- evaluate (mi_good_size c)
  mi_free_size nullPtr c
  where
    c = fromIntegral n :: CSize
    freed p = mi_free (p :: Ptr Word8)

nulls :: [(String, Assertion)]
nulls =
  [ ("unsafePackMallocByteString", do
      outcomeOf "unsafePackMallocByteString" (void (M.unsafePackMallocByteString nullPtr 5)) >>= (@?= Invalid)
      M.unsafePackMallocByteString nullPtr 0 >>= (@?= ByteString.empty))
  , ("unsafePackMallocByteString, negative", forM_ [-1, minBound] $ \n -> outcomeOf "unsafePackMallocByteString" (void (M.unsafePackMallocByteString nullPtr n)) >>= (@?= Invalid))
  , ("unsafePackMallocCString", outcomeOf "unsafePackMallocCString" (void (M.unsafePackMallocCString nullPtr)) >>= (@?= Invalid))
  , ("unsafePackMallocCStringLen", outcomeOf "unsafePackMallocByteString" (void (M.unsafePackMallocCStringLen (nullPtr, 3))) >>= (@?= Invalid))
  , ("packCString", outcomeOf "packCString" (void (M.packCString nullPtr)) >>= (@?= Invalid))
  , ("usableSize", usableSize nullPtr >>= (@?= 0))
  , ("heapContainsBlock", withHeap (`heapContainsBlock` nullPtr) >>= (@?= False))
  , ("heapCheckOwned", withHeap (`heapCheckOwned` nullPtr) >>= (@?= False))
  , ("empty vectors", do
      v <- V.mallocMVector 0 :: IO (V.IOVector Int)
      Mutable.length v @?= 0
      w <- V.freeze v
      w @?= Vector.empty)
  , ("mi_free and its like", mapM_ ($ nullPtr) [mi_free, mi_cfree])
  , ("mi_strdup", mi_strdup nullPtr >>= (@?= nullPtr) . castPtr @_ @())
  , ("mi_strndup", mi_strndup nullPtr 3 >>= (@?= nullPtr) . castPtr @_ @())
  , ("mi_realpath", mi_realpath nullPtr nullPtr >>= (@?= nullPtr) . castPtr @_ @())
  , ("mi_usable_size", mi_usable_size nullPtr >>= (@?= 0))
  , ("mi_is_in_heap_region", mi_is_in_heap_region nullPtr >>= (@?= 0))
  ]
