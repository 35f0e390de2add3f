-- | Numbers that C and Haskell both have are the same.
module Names.Numbers (numbersAgree) where

import Control.Monad (forM)
import Data.List (sort)
import Foreign.C.String (CString, peekCString)
import Foreign.C.Types (CLong (..), CSize (..))
import Foreign.Marshal.Alloc (alloca)
import Foreign.Ptr (Ptr, nullPtr, plusPtr)
import Foreign.Storable (alignment, peek, sizeOf)
import Test.Tasty
import Test.Tasty.HUnit

import Mimalloc.Internal.Numbers (numbers)
import Mimalloc.Primitive (MiHeapArea (..))

foreign import ccall unsafe test_numbers             :: IO CSize
foreign import ccall unsafe test_number_name         :: CSize -> IO CString
foreign import ccall unsafe test_number              :: CSize -> IO CLong
foreign import ccall unsafe test_heap_area_size      :: IO CSize
foreign import ccall unsafe test_heap_area_alignment :: IO CSize
foreign import ccall unsafe test_heap_area           :: Ptr MiHeapArea -> IO ()

numbersAgree :: TestTree
numbersAgree = testGroup "numbers that C has, too"
  [ testCase "constants, and words of structures" $ do
      n <- test_numbers
      c <- forM [0 .. n - 1] $ \i ->
        (,) <$> (test_number_name i >>= peekCString) <*> (fromIntegral <$> test_number i)
      sort numbers @?= sort c
  , testCase "MiHeapArea" $ do
      size <- fromIntegral <$> test_heap_area_size
      align <- fromIntegral <$> test_heap_area_alignment
      (sizeOf unused, alignment unused) @?= (size, align)
      area <- alloca $ \p -> test_heap_area p >> peek p
      area @?= MiHeapArea (nullPtr `plusPtr` 1) 2 3 4 5 6 (-7)
  ]
  where unused = MiHeapArea nullPtr 0 0 0 0 0 0
