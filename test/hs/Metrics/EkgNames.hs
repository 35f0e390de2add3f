-- Says what the adapter for ekg has registered, and the value of each.
module Main (main) where

import qualified Data.HashMap.Strict as HashMap
import qualified Data.Text as Text
import Ekg (registerMimalloc)
import System.Metrics (newStore, sampleAll)

main :: IO ()
main = do
  store <- newStore
  registerMimalloc store
  sample <- sampleAll store
  mapM_ (\(name, value) -> putStrLn (Text.unpack name ++ ": " ++ show value)) (HashMap.toList sample)
